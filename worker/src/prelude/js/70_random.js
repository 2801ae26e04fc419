// Math.random: xoshiro128** (two words for each 53-bit number), seeded for each run. V8's own
// generator is part of a process image, so that every fork of it would give the same numbers.

const { Int32Array, define } = internal.primordials;

const state = new Int32Array(4);
state[0] = 0x9e3779b9;

const { random } = {
  random() {
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];

    let word = b * 5;
    word = ((word << 7) | ((word | 0) >>> 25)) * 9;
    const high = (word | 0) >>> 5;
    let shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);

    word = b * 5;
    word = ((word << 7) | ((word | 0) >>> 25)) * 9;
    const low = (word | 0) >>> 6;
    shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);

    state[0] = a;
    state[1] = b;
    state[2] = c;
    state[3] = d;
    return (high * 0x4000000 + low) / 0x20000000000000;
  },
};
define(Math, "random", random);

internal.seedRandom = (a, b, c, d) => {
  state[0] = a;
  state[1] = b;
  state[2] = c;
  // All zeros is the one state that never changes.
  state[3] = (a | b | c | d) === 0 ? 1 : d;
};
