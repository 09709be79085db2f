pub struct FakeAutotask;
