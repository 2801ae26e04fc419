//! Landlock: no right to anything that the running kernel can take away.
//!
//! A ruleset that handles rights and has no rule denies them all. Newer kernels handle more; each
//! version's rights are asked for only where it is there.

use super::{Cause, Errno, process, sys};

const CREATE_RULESET_VERSION: usize = 1;

/// Execute, read, write, list, remove and make, in all kinds.
const FS_V1: u64 = (1 << 13) - 1;
/// Link or move between directories.
const FS_V2_REFER: u64 = 1 << 13;
const FS_V3_TRUNCATE: u64 = 1 << 14;
const FS_V5_IOCTL_DEVICE: u64 = 1 << 15;
const NET_V4_BIND_AND_CONNECT_TCP: u64 = 0b11;
const SCOPE_V6_ABSTRACT_SOCKET_AND_SIGNAL: u64 = 0b11;

/// `struct landlock_ruleset_attr`. Older kernels take a longer one as long as the rest is zero.
#[repr(C)]
#[derive(Debug, PartialEq, Eq)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// All that version `abi` of Landlock can deny.
fn attr(abi: usize) -> RulesetAttr {
    let from = |version: usize, rights: u64| if abi >= version { rights } else { 0 };
    RulesetAttr {
        handled_access_fs: from(1, FS_V1)
            | from(2, FS_V2_REFER)
            | from(3, FS_V3_TRUNCATE)
            | from(5, FS_V5_IOCTL_DEVICE),
        handled_access_net: from(4, NET_V4_BIND_AND_CONNECT_TCP),
        scoped: from(6, SCOPE_V6_ABSTRACT_SOCKET_AND_SIGNAL),
    }
}

/// What of it is in force, in words.
fn detail(abi: usize) -> String {
    let what = match abi {
        ..=3 => "files only",
        4 | 5 => "files, tcp",
        6.. => "files, tcp, abstract sockets, signals",
    };
    format!("abi {abi}: {what}")
}

/// Confines the calling thread and its forks.
pub(super) fn enter() -> Result<String, Cause> {
    process::no_new_privs()?;
    let failed = |call| move |errno: Errno| Cause::System { call, errno };
    let create = libc::SYS_landlock_create_ruleset;
    // SAFETY: with this flag the call takes no attributes and gives a number.
    let abi = unsafe { sys::call(create, [0, 0, CREATE_RULESET_VERSION]) }
        .map_err(failed("landlock_create_ruleset"))?;
    if abi == 0 {
        return Err(Cause::LandlockVersion { version: abi });
    }
    let attr = attr(abi);
    let arguments = [(&raw const attr) as usize, size_of::<RulesetAttr>(), 0];
    // SAFETY: the attributes outlive the call and have the size that is given.
    let ruleset = unsafe { sys::call(create, arguments) }
        .map(sys::Descriptor::new)
        .map_err(failed("landlock_create_ruleset"))?;
    // SAFETY: the descriptor is the ruleset's.
    unsafe {
        sys::call(
            libc::SYS_landlock_restrict_self,
            [ruleset.number() as usize, 0],
        )
    }
    .map_err(failed("landlock_restrict_self"))?;
    Ok(detail(abi))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_denies_what_it_knows_and_no_more() {
        let attr_of = |fs, net, scoped| RulesetAttr {
            handled_access_fs: fs,
            handled_access_net: net,
            scoped,
        };
        assert_eq!(attr(1), attr_of(0x1fff, 0, 0));
        assert_eq!(attr(2), attr_of(0x3fff, 0, 0));
        assert_eq!(attr(3), attr_of(0x7fff, 0, 0));
        assert_eq!(attr(4), attr_of(0x7fff, 3, 0));
        assert_eq!(attr(5), attr_of(0xffff, 3, 0));
        assert_eq!(attr(6), attr_of(0xffff, 3, 3));
        assert_eq!(attr(99), attr(6));
    }

    #[test]
    fn the_detail_names_the_version() {
        assert_eq!(detail(3), "abi 3: files only");
        assert_eq!(detail(7), "abi 7: files, tcp, abstract sockets, signals");
    }
}
