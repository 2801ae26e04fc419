use std::fs;
use std::path::{Component, Path, PathBuf};

/// What this process may use of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Memory, in bytes: the smallest limit that holds for this process.
    pub memory_bytes: u64,
    /// Where that limit stands.
    pub memory_from: MemorySource,
    /// Processors, as far as affinity and cgroup quotas leave them.
    pub cpus: usize,
}

/// Where a limit of memory stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemorySource {
    /// No cgroup bounds this process more than the machine's size does.
    Machine,
    /// The file of a cgroup.
    Cgroup(PathBuf),
}

impl std::fmt::Display for MemorySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Machine => write!(f, "the memory of this machine"),
            Self::Cgroup(file) => write!(f, "the memory limit in {}", file.display()),
        }
    }
}

impl Machine {
    /// Reads this process's limits.
    pub fn read() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self::read_from(Path::new("/"), cpus)
    }

    /// As [`Machine::read`], with the system's files under `root`.
    pub fn read_from(root: &Path, cpus: usize) -> Self {
        let machine = Self {
            memory_bytes: memory_total_bytes(root).unwrap_or(u64::MAX),
            memory_from: MemorySource::Machine,
            cpus,
        };
        // A limit binds all that is below it, so every ancestor's counts.
        limit_files(root)
            .into_iter()
            .fold(machine, |least, file| match limit_bytes(root, &file) {
                Some(bytes) if bytes < least.memory_bytes => Self {
                    memory_bytes: bytes,
                    memory_from: MemorySource::Cgroup(file),
                    cpus,
                },
                _ => least,
            })
    }
}

/// A path of the real system, under `root`.
fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn memory_total_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(under(root, Path::new("/proc/meminfo"))).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The bytes in a limit's file; `None` when it is absent or says that there is no limit.
fn limit_bytes(root: &Path, file: &Path) -> Option<u64> {
    fs::read_to_string(under(root, file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The files that may hold a limit for this process, in the hierarchies of both cgroup versions.
///
/// In a container the mount often shows this process's own cgroup as its root while
/// `/proc/self/cgroup` still tells the path outside. So every ancestor is tried, from the path told
/// up to the mount itself; files that are not there bind nobody.
fn limit_files(root: &Path) -> Vec<PathBuf> {
    let read = |path: &str| fs::read_to_string(under(root, Path::new(path))).unwrap_or_default();
    let cgroups = read("/proc/self/cgroup");
    let mounts = read("/proc/self/mountinfo");
    let mut files = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        // Version 2 has the hierarchy 0 without controllers: `0::/path`.
        let own = cgroups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let ours = match mount.file {
                V2_FILE => controllers.is_empty(),
                _ => controllers.split(',').any(|name| name == "memory"),
            };
            ours.then_some(path)
        });
        let mut path = PathBuf::from(own.unwrap_or("/"));
        if path.components().any(|part| part == Component::ParentDir) {
            // `/..` means a cgroup outside of this namespace, which can't be named from here.
            path = PathBuf::from("/");
        }
        for ancestor in path.ancestors() {
            files.push(under(&mount.point, ancestor).join(mount.file));
        }
    }
    files
}

const V1_FILE: &str = "memory.limit_in_bytes";
const V2_FILE: &str = "memory.max";

/// A mounted hierarchy that can limit memory.
struct Mount {
    point: PathBuf,
    file: &'static str,
}

impl Mount {
    /// From a line such as `35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        let mut filesystem = filesystem.split(' ');
        let file = match filesystem.next()? {
            "cgroup2" => V2_FILE,
            "cgroup"
                if filesystem
                    .nth(1)?
                    .split(',')
                    .any(|option| option == "memory") =>
            {
                V1_FILE
            }
            _ => return None,
        };
        Some(Self {
            point: PathBuf::from(point),
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A directory with the files of a made-up system of 8 GiB.
    struct Fake(tempfile::TempDir);

    impl Fake {
        fn new(cgroup: &str, mountinfo: &str) -> Self {
            let fake = Self(tempfile::tempdir().unwrap());
            fake.write(
                "/proc/meminfo",
                "MemTotal:        8388608 kB\nMemFree: 1 kB\n",
            );
            fake.write("/proc/self/cgroup", cgroup);
            fake.write("/proc/self/mountinfo", mountinfo);
            fake
        }

        fn write(&self, path: &str, text: &str) {
            let path = under(self.0.path(), Path::new(path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn read(&self) -> Machine {
            Machine::read_from(self.0.path(), 2)
        }
    }

    const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn without_a_limit_the_machine_counts() {
        let fake = Fake::new("0::/user.slice\n", V2);
        fake.write("/sys/fs/cgroup/user.slice/memory.max", "max\n");
        let machine = fake.read();
        assert_eq!(machine.memory_bytes, 8 * GIB);
        assert_eq!(machine.memory_from, MemorySource::Machine);
        assert_eq!(machine.cpus, 2);
    }

    #[test]
    fn version_2_in_a_container_of_its_own_namespace() {
        let fake = Fake::new("0::/\n", V2);
        fake.write("/sys/fs/cgroup/memory.max", "536870912\n");
        assert_eq!(fake.read().memory_bytes, GIB / 2);
    }

    #[test]
    fn version_2_nested_takes_the_smallest_of_the_ancestors() {
        let fake = Fake::new("0::/a.slice/b.scope\n", V2);
        fake.write("/sys/fs/cgroup/a.slice/b.scope/memory.max", "4294967296\n");
        fake.write("/sys/fs/cgroup/a.slice/memory.max", "1073741824\n");
        let machine = fake.read();
        assert_eq!(machine.memory_bytes, GIB);
        let file = PathBuf::from("/sys/fs/cgroup/a.slice/memory.max");
        assert_eq!(machine.memory_from, MemorySource::Cgroup(file));
    }

    #[test]
    fn version_1_by_its_controller() {
        let fake = Fake::new("4:memory:/jobs/1\n1:cpu:/\n0::/\n", V1);
        fake.write(
            "/sys/fs/cgroup/memory/jobs/1/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        fake.write(
            "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes",
            "2147483648\n",
        );
        fake.write(
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        assert_eq!(fake.read().memory_bytes, 2 * GIB);
    }

    #[test]
    fn version_1_in_a_container_whose_mount_starts_at_its_own_cgroup() {
        let fake = Fake::new("4:memory:/docker/0123abcd\n", V1);
        fake.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        assert_eq!(fake.read().memory_bytes, GIB / 2);
    }

    #[test]
    fn a_limit_over_the_machine_binds_nobody() {
        let fake = Fake::new("0::/\n", V2);
        fake.write("/sys/fs/cgroup/memory.max", "99999999999999\n");
        assert_eq!(fake.read().memory_from, MemorySource::Machine);
    }

    #[test]
    fn the_real_machine_has_memory_and_a_processor() {
        let machine = Machine::read();
        assert!(machine.memory_bytes > 0 && machine.memory_bytes < u64::MAX);
        assert!(machine.cpus >= 1);
    }
}
