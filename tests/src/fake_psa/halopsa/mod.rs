pub struct FakeHaloPsa;
