use crate::Random;
use crate::fuzz::forge;

/// What a number is replaced with: the ends of what is allowed, and far beyond them.
const NUMBERS: [u64; 22] = [
    0,
    1,
    2,
    3,
    5,
    6,
    7,
    8,
    0x7f,
    0x80,
    1023,
    1024,
    1025,
    1 << 31,
    1 << 32,
    1 << 36,
    (1 << 36) - 1,
    1 << 44,
    1 << 52,
    1 << 60,
    u64::MAX - 1,
    u64::MAX,
];

/// Numbers in LEB128, each by itself.
pub fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    while let Some(last) = bytes.iter().position(|byte| byte & 0x80 == 0) {
        let (number, rest) = bytes.split_at(last + 1);
        numbers.push(number.to_vec());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    numbers
}

fn value(number: &[u8]) -> u64 {
    let bits = number.iter().rev();
    bits.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// The numbers with another one in place of each, one at a time.
pub fn other_numbers(numbers: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..numbers.len()).flat_map(move |index| {
        let now = value(&numbers[index]);
        let near = [now.wrapping_sub(1), now + 1, now ^ 6, now ^ 1 << 20];
        let others = NUMBERS.into_iter().chain(near).filter(move |it| *it != now);
        others.map(move |other| {
            let mut changed = numbers.to_vec();
            changed[index] = forge::number(other);
            changed.concat()
        })
    })
}

/// The numbers with one of them in a form that is none: longer than it needs to be, over 64 bits,
/// without an end.
pub fn malformed_numbers(numbers: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..numbers.len()).flat_map(move |index| {
        let number = &numbers[index];
        let longer = |zeros: usize| {
            let mut longer = number.clone();
            *longer.last_mut().expect("a byte") |= 0x80;
            longer.extend(vec![0x80; zeros]);
            longer.push(0);
            longer
        };
        let over = [vec![0xff; 9], vec![2]].concat();
        let forms = [longer(0), longer(1), longer(8), over, vec![0xff; 11]];
        forms.map(|form| {
            let mut changed = numbers.to_vec();
            changed[index] = form;
            changed.concat()
        })
    })
}

/// The numbers without one of them, with one of them twice, and with two that changed places.
pub fn moved_numbers(numbers: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..numbers.len()).flat_map(move |index| {
        let mut missing = numbers.to_vec();
        missing.remove(index);
        let mut twice = numbers.to_vec();
        twice.insert(index, numbers[index].clone());
        let mut swapped = numbers.to_vec();
        swapped.swap(index, (index + 1) % numbers.len());
        [missing, twice, swapped].map(|it| it.concat())
    })
}

/// Some of the numbers replaced at random.
pub fn random_numbers(numbers: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut changed = numbers.to_vec();
    for _ in 0..random.below(4) + 1 {
        let index = random.below(changed.len());
        let now = value(&changed[index]);
        let other = match random.below(3) {
            0 => NUMBERS[random.below(NUMBERS.len())],
            1 => now.wrapping_add(random.below(16) as u64).wrapping_sub(8),
            _ => now ^ 1 << random.below(64),
        };
        changed[index] = forge::number(other);
    }
    changed.concat()
}

/// Bytes changed as a fuzzer does it: bits, bytes, numbers, pieces gone, copied or put in.
pub fn random_bytes(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..random.below(4) + 1 {
        if changed.is_empty() {
            changed.push(0);
        }
        // Most of what matters stands in front.
        let reach = match random.below(4) {
            0 => changed.len(),
            _ => changed.len().min(192),
        };
        let at = random.below(reach);
        let end = (at + random.below(12) + 1).min(changed.len());
        match random.below(6) {
            0 => changed[at] ^= 1 << random.below(8),
            1 => changed[at] = random.below(256) as u8,
            2 => drop(changed.drain(at..end)),
            3 => changed.extend_from_within(at..end),
            4 => {
                let number = forge::number(NUMBERS[random.below(NUMBERS.len())]);
                drop(changed.splice(at..end, number));
            }
            _ => changed.truncate(at),
        }
    }
    changed
}

#[test]
fn numbers_are_taken_apart() {
    for number in NUMBERS {
        let bytes = forge::number(number);
        assert_eq!(split(&bytes), std::slice::from_ref(&bytes));
        assert_eq!(value(&bytes), number);
    }
}
