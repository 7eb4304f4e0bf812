//! Random choices that a seed repeats. A trial has a stream of its own, so its choices do not
//! depend on the lane that runs it, nor on the version of a library.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub struct RandomStream(u64);

impl RandomStream {
    /// Returns the stream of one trial of a part.
    pub fn of(seed: u64, part: &str, trial: u32) -> Self {
        let mut stream = Self(seed);
        for byte in part.bytes() {
            stream.0 ^= u64::from(byte);
            stream.0 = stream.next();
        }
        stream.0 ^= u64::from(trial);
        stream.0 = stream.next();
        stream
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Returns a number from 0 to 1, 1 excluded.
    pub fn fraction(&mut self) -> f64 {
        // 32 bits are exact in a floating point number.
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / 4_294_967_296.0
    }

    /// Returns a number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count).unwrap()).unwrap()
    }

    /// Returns one of the values.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Returns some of the values, in random order and without repetition.
    pub fn some_of<T: Copy>(&mut self, values: &[T], count: usize) -> Vec<T> {
        let mut rest = values.to_vec();
        let mut chosen = Vec::new();
        while chosen.len() < count && !rest.is_empty() {
            chosen.push(rest.remove(self.below(rest.len())));
        }
        chosen
    }
}
