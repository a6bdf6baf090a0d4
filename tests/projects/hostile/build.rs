//! Attempts what no build may do, and says of each attempt what came of it, in a warning of
//! cargo: `attempt NAME: held: REASON`, or `attempt NAME: BROKE: HOW`. With `ATTACK` set, a build
//! for aarch64 uses up that resource instead.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::raw::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::{env, io, ptr, thread};

extern "C" {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn mknod(path: *const c_char, mode: c_uint, device: c_ulong) -> c_int;
    fn unshare(flags: c_int) -> c_int;
    fn chroot(path: *const c_char) -> c_int;
    fn setuid(user: c_uint) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
}

const MS_REMOUNT: c_ulong = 32;
const CLONE_NEWNS: c_int = 0x0002_0000;
const CLONE_NEWUSER: c_int = 0x1000_0000;
const S_IFBLK: c_uint = 0o060_000;
const AF_PACKET: c_int = 17;
const SOCK_RAW: c_int = 3;
#[cfg(target_arch = "x86_64")]
const SYS_BPF: c_long = 321;
#[cfg(target_arch = "aarch64")]
const SYS_BPF: c_long = 280;

/// What came of an attempt: how it broke out, or what held it.
type Tried = io::Result<String>;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let foreign = env::var("TARGET").is_ok_and(|t| t.starts_with("aarch64"));
    match env::var("ATTACK").as_deref() {
        Ok("processes") if foreign => use_up_processes(),
        Ok("memory") if foreign => use_up_memory(),
        Ok("tmp") if foreign => use_up_tmp(),
        Ok("log") if foreign => flood_the_log(),
        Ok(_) => (),
        Err(_) => attempt_all(),
    }
}

fn attempt_all() {
    network();
    engine();
    files();
    privileges();
    tell("mounts", &mounts().join(" "));
    tell("writable", &writable().join(" "));
    tell("limits", &line_of("/proc/self/limits", "Max core file size"));
}

fn network() {
    let tcp = |address: String| -> Tried {
        let address = address.to_socket_addrs()?.next().ok_or(held("no address"))?;
        TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
        Ok("connected".into())
    };
    attempt("a name", || {
        let found = ("example.com", 443).to_socket_addrs()?.next();
        Ok(format!("{found:?}"))
    });
    attempt("tcp to the internet", || tcp("1.1.1.1:443".into()));
    attempt("udp to the internet", || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(&[0; 12], "1.1.1.1:53")?;
        Ok("sent".into())
    });
    for address in env::var("LISTENERS").unwrap().split(' ') {
        attempt(&format!("tcp to {address}"), || tcp(address.into()));
    }
    attempt("an interface but lo", || {
        let text = fs::read_to_string("/proc/net/dev")?;
        let names = text.lines().skip(2).filter_map(|l| l.split(':').next());
        any(names.map(str::trim).filter(|n| !matches!(*n, "lo" | "sit0" | "tunl0" | "ip6tnl0")))
    });
    attempt("a raw socket", || call(unsafe { socket(AF_PACKET, SOCK_RAW, 0) }.into()));
}

fn engine() {
    for path in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/var/run/docker/containerd/containerd.sock",
    ] {
        attempt(path, || UnixStream::connect(path).map(|_| "connected".into()));
    }
    attempt("tcp to an engine", || {
        TcpStream::connect("127.0.0.1:2375").map(|_| "connected".into())
    });
    attempt("an abstract socket", || {
        let text = fs::read_to_string("/proc/net/unix")?;
        any(text.lines().filter(|line| line.contains('@')))
    });
}

fn files() {
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"] {
        attempt(&format!("read {path}"), || {
            let read = File::open(path)?.read(&mut [0; 64])?;
            any((read > 0).then_some(format!("{read} bytes")))
        });
    }
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/1/oom_score_adj",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/devices/devices.allow",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/cgroup.procs",
        "/etc/passwd",
        "/etc/resolv.conf",
    ] {
        if path == "/proc/1/oom_score_adj" {
            attempt("spare process 1 from the OOM killer", || {
                OpenOptions::new().write(true).open(path)?.write_all(b"-1000")?;
                Ok("written".into())
            });
            continue;
        }
        attempt(&format!("write {path}"), || {
            OpenOptions::new().write(true).open(path).map(|_| "opened".into())
        });
    }
    attempt("mount a tmpfs", || mounted("none", "/tmp", "tmpfs", 0));
    attempt("mount /proc anew", || mounted("proc", "/tmp", "proc", 0));
    attempt("mount / writable", || mounted("none", "/", "none", MS_REMOUNT));
    attempt("make a disk's node", || {
        let path = CString::new("/tmp/disk")?;
        call(unsafe { mknod(path.as_ptr(), S_IFBLK | 0o600, 0xFE00) }.into())
    });
    attempt("a disk in /dev", || {
        let names = fs::read_dir("/dev")?.flatten();
        any(names.filter(|e| e.file_type().is_ok_and(|t| t.is_block_device())).map(|e| e.path()))
    });
    attempt("an odd device in /dev", || {
        let usual = ["console", "full", "null", "random", "tty", "urandom", "zero"];
        let nodes = fs::read_dir("/dev")?.flatten();
        any(nodes
            .filter(|e| e.file_type().is_ok_and(|t| t.is_char_device()))
            .filter(|e| !usual.contains(&e.file_name().to_string_lossy().as_ref()))
            .map(|e| e.path()))
    });
}

fn privileges() {
    for (key, value) in [
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        attempt(key, || {
            let line = line_of("/proc/self/status", &format!("{key}:"));
            any((line.split_whitespace().nth(1) != Some(value)).then_some(line))
        });
    }
    attempt("another user", || call(unsafe { setuid(1) }.into()));
    attempt("a user namespace", || call(unsafe { unshare(CLONE_NEWUSER) }.into()));
    attempt("a mount namespace", || call(unsafe { unshare(CLONE_NEWNS) }.into()));
    attempt("another root", || {
        let path = CString::new("/tmp")?;
        call(unsafe { chroot(path.as_ptr()) }.into())
    });
    attempt("a program in the kernel", || call(unsafe { syscall(SYS_BPF, 5, ptr::null::<u8>(), 0) }));
    attempt("a setuid program", || {
        let mut found = vec![];
        for place in ["/bin", "/sbin", "/usr", "/opt"] {
            find_setuid(Path::new(place), &mut found);
        }
        any(found)
    });
    attempt("a process of another container", || {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let all = fs::read_dir("/proc")?.flatten().map(|e| e.path().join("cgroup"));
        any(all.filter(|p| fs::read_to_string(p).is_ok_and(|text| text != own)))
    });
    attempt("a signal to process 2 of the machine", || {
        any((unsafe { kill(2, 0) } == 0 && !Path::new("/proc/2").exists()).then_some("sent"))
    });
}

fn find_setuid(place: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let Ok(status) = fs::symlink_metadata(entry.path()) else { continue };
        if status.is_dir() {
            find_setuid(&entry.path(), found);
        } else if status.is_file() && status.permissions().mode() & 0o6000 != 0 {
            found.push(entry.path().display().to_string());
        }
    }
}

/// What is mounted from somewhere else than the image, each as `SOURCE:PLACE`.
fn mounts() -> Vec<String> {
    mount_points()
        .filter(|(root, place)| root != "/" && !place.starts_with("/proc/"))
        .filter(|(_, place)| !place.starts_with("/sys/fs/cgroup/"))
        .map(|(root, place)| format!("{root}:{place}"))
        .collect()
}

/// Every mount point at which a file can be made.
fn writable() -> Vec<String> {
    mount_points()
        .map(|(_, place)| place)
        .filter(|place| {
            let witness = Path::new(place).join("witness");
            File::create(&witness).and_then(|_| fs::remove_file(&witness)).is_ok()
        })
        .collect()
}

fn mount_points() -> impl Iterator<Item = (String, String)> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<_> = text.lines().map(words).collect();
    lines.into_iter().map(|words| (words[3].clone(), words[4].clone()))
}

fn use_up_processes() {
    let mut threads = 0;
    loop {
        if let Err(error) = thread::Builder::new().spawn(|| thread::sleep(Duration::from_secs(600))) {
            panic!("no thread after {threads}: {error}");
        }
        threads += 1;
    }
}

fn use_up_memory() {
    let mut kept = vec![];
    loop {
        kept.push(vec![1_u8; 16 << 20]);
    }
}

fn use_up_tmp() {
    let mut file = File::create("/tmp/large").unwrap();
    loop {
        file.write_all(&[1; 1 << 20]).unwrap();
    }
}

/// Writes 320 MiB, more than a log may hold, past cargo, to where the container's own output goes.
fn flood_the_log() {
    let mut out = OpenOptions::new().write(true).open("/proc/1/fd/1").unwrap();
    let block = [b'x'; 1 << 16];
    for _ in 0..5 << 10 {
        out.write_all(&block).unwrap();
    }
    panic!("flooded");
}

fn attempt(name: &str, attempt: impl FnOnce() -> Tried) {
    match attempt() {
        Ok(how) => tell(&format!("attempt {name}"), &format!("BROKE: {how}")),
        Err(why) => tell(&format!("attempt {name}"), &format!("held: {why}")),
    }
}

fn tell(name: &str, text: &str) {
    println!("cargo:warning={name}: {text}");
}

fn held(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

/// An attempt that looks for things breaks out when it finds one.
fn any<T: std::fmt::Debug>(found: impl IntoIterator<Item = T>) -> Tried {
    let found: Vec<_> = found.into_iter().collect();
    if found.is_empty() { Err(held("there is none")) } else { Ok(format!("{found:?}")) }
}

fn call(result: c_long) -> Tried {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(format!("gave {result}")) }
}

fn mounted(source: &str, target: &str, kind: &str, flags: c_ulong) -> Tried {
    let [source, target, kind] = [source, target, kind].map(|word| CString::new(word).unwrap());
    call(
        unsafe { mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, ptr::null()) }.into(),
    )
}

fn line_of(path: &str, start: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
}
