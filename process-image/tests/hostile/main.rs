//! Images and deltas from someone who means harm: cut, changed, and made with the right checksums.
//! What is done with each of them, and the rules that hold afterwards, are those of the fuzz
//! targets.

mod bombs;
mod corpus;
mod deltas;
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;
mod images;
mod mutations;

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    /// From a seed that a failed test shows.
    fn from_seed(seed: u64) -> Self {
        println!("seed {seed:#x}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}
