//! A small deterministic generator (SplitMix64).

use uuid::{Builder, Uuid};

/// Gives the same numbers for the same start.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Starts at a number.
    pub const fn new(state: u64) -> Self {
        Self { state }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a small number");
        usize::try_from(self.next() % bound).expect("a small number")
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> Uuid {
        let high = u128::from(self.next()) << 64;
        let bits = high | u128::from(self.next());
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

/// The generator that a text stands for (FNV-1a).
pub fn of_text(text: &str) -> Random {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Random::new(hash)
}

/// The generator that an id stands for.
pub fn of_id(id: Uuid) -> Random {
    let (high, low) = id.as_u64_pair();
    Random::new(high ^ low.rotate_left(32))
}
