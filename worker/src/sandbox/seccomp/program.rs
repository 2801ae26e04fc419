//! From rules to the kernel's filter language (classic BPF).

use libc::sock_filter;

use super::{Case, Rule, Verdict, Width};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Puts the call's number into the accumulator.
pub(super) const LOAD_NUMBER: sock_filter = load(NUMBER);

const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

const fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// Skips `yes` instructions if the accumulator is `value`, else `no`.
pub(super) const fn jump_if_equal(value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value)
}

const fn jump_if_greater(value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, yes, no, value)
}

const fn and(mask: u32) -> sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask)
}

/// Ends the program with a verdict.
pub(super) const fn end(verdict: Verdict) -> sock_filter {
    let action = match verdict {
        Verdict::Allow => libc::SECCOMP_RET_ALLOW,
        Verdict::Refuse(errno) => libc::SECCOMP_RET_ERRNO | (errno as u32 & libc::SECCOMP_RET_DATA),
        Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

/// A filter in the making.
pub(super) struct Program(Vec<sock_filter>);

impl Program {
    /// Kills on another architecture and on numbers over `number_max`, where another table of calls
    /// begins; leaves the number in the accumulator.
    pub(super) fn new(audit_arch: u32, number_max: u32) -> Self {
        let mut code = Vec::with_capacity(256);
        code.extend([
            load(ARCH),
            jump_if_equal(audit_arch, 1, 0),
            end(Verdict::Kill),
            LOAD_NUMBER,
            jump_if_greater(number_max, 0, 1),
            end(Verdict::Kill),
        ]);
        Self(code)
    }

    /// Adds the block of one rule.
    pub(super) fn rule(&mut self, rule: &Rule) {
        let mut block = Vec::with_capacity(32);
        for it in rule.cases {
            case(&mut block, it);
        }
        block.push(end(rule.otherwise));
        let length = u8::try_from(block.len()).expect("the list's blocks are short");
        self.0.push(jump_if_equal(rule.number as u32, 0, length));
        self.0.append(&mut block);
    }

    /// What matched no rule is killed.
    pub(super) fn finish(mut self) -> Vec<sock_filter> {
        self.0.push(end(Verdict::Kill));
        self.0
    }
}

/// Ends with the case's verdict if all its arguments hold; else falls out behind itself.
fn case(block: &mut Vec<sock_filter>, case: &Case) {
    let start = block.len();
    for argument in case.arguments {
        let offset = ARGUMENTS + 8 * u32::from(argument.index);
        half(block, offset, argument.mask as u32, argument.value as u32);
        if argument.width == Width::Long {
            half(
                block,
                offset + 4,
                (argument.mask >> 32) as u32,
                (argument.value >> 32) as u32,
            );
        }
    }
    block.push(end(case.verdict));
    let end = block.len();
    for (index, instruction) in block.iter_mut().enumerate().skip(start) {
        if instruction.code == jump_if_equal(0, 0, 0).code {
            instruction.jf = u8::try_from(end - index - 1).expect("a case is short");
        }
    }
}

/// Compares one half of an argument; where to jump otherwise is set once the case's end is known.
fn half(block: &mut Vec<sock_filter>, offset: u32, mask: u32, value: u32) {
    block.push(load(offset));
    if mask != u32::MAX {
        block.push(and(mask));
    }
    block.push(jump_if_equal(value, 0, 0));
}
