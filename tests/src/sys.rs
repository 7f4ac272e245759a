//! The system calls that std has no safe form for. All unsafe code of this crate is here.
//!
//! Each function is a safe wrapper of one or two calls; none keeps state.

#![allow(
    unsafe_code,
    reason = "TAP devices, raw packet sockets, namespaces and scheduling have no safe interface in std"
)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::packet::Tag;

/// Longest name of a network interface.
pub const IF_NAME_MAX: usize = libc::IFNAMSIZ - 1;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Whether this process has the effective user id 0.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Connects from a certain address, such as another one of loopback.
///
/// # Errors
/// It is not ours, or nobody listens.
pub fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// Nanoseconds of CLOCK_MONOTONIC: comparable between all processes of this machine.
pub fn monotonic_ns() -> u64 {
    // SAFETY: an all-zero timespec is valid.
    let mut now: libc::timespec = unsafe { zeroed() };
    // SAFETY: `now` is a valid timespec to write to; CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

// ---- processes ----

/// Makes the child of `command` die with this process, and start in `netns` if given.
///
/// The kernel sends the signal when the *thread* that forks ends, so `process::spawn`
/// forks from a thread that lives as long as the process.
pub fn arm_child(command: &mut Command, netns: Option<File>) {
    let parent = std::process::id();
    let arm = move || {
        // SAFETY: prctl with these arguments reads no memory.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        // The parent may have died before the line above: then nobody will send the signal.
        // SAFETY: getppid has no arguments and cannot fail.
        if unsafe { libc::getppid() } as u32 != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        match &netns {
            // SAFETY: the descriptor is open, the closure owns it.
            Some(file) => check(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop),
            None => Ok(()),
        }
    };
    // SAFETY: between fork and exec the closure makes only async-signal-safe system calls
    // and neither allocates nor takes locks.
    unsafe { command.pre_exec(arm) };
}

/// Moves the calling thread into the network namespace of an open namespace file.
///
/// # Errors
/// Not root, or the file is no network namespace.
pub fn enter_netns(netns: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call.
    check(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Sends a signal to a process.
///
/// # Errors
/// No such process, or no permission.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    // A pid of 0 or -1 would mean a group or everybody.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: kill reads no memory.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends a signal to the process group that a child of ours leads: it and what it started.
///
/// # Errors
/// No such group, or no permission.
pub fn kill_group(leader: u32, signal: i32) -> io::Result<()> {
    // A group of 0 or 1 would be our own or everybody.
    let leader = i32::try_from(leader).ok().filter(|leader| *leader > 1);
    let leader = leader.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: kill reads no memory.
    check(unsafe { libc::kill(-leader, signal) }).map(drop)
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
/// No such process.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) } as RawFd)?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until the descriptor can be read; `None` waits for ever. False: time is up.
///
/// # Errors
/// The descriptor is bad.
pub fn wait_readable(fd: RawFd, timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |timeout| timeout as *const _);
    // SAFETY: one pollfd, a null or valid timespec, and no signal mask.
    match check(unsafe { libc::ppoll(&raw mut poll, 1, timeout, std::ptr::null()) }) {
        Ok(ready) => Ok(ready > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks for SCHED_FIFO for one thread (0: the calling one). False where it is not allowed.
pub fn realtime(thread: u32, priority: i32) -> bool {
    // SAFETY: an all-zero sched_param is valid.
    let mut parameter: libc::sched_param = unsafe { zeroed() };
    parameter.sched_priority = priority;
    // SAFETY: the parameter is valid for the call.
    unsafe { libc::sched_setscheduler(thread as libc::pid_t, libc::SCHED_FIFO, &raw const parameter) == 0 }
}

/// Makes timed waits of this thread exact instead of rounded to 50 us.
pub fn exact_timers() {
    // SAFETY: prctl with these arguments reads no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

// ---- TAP devices ----

fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.is_empty() || name.len() > IF_NAME_MAX || !name.is_ascii() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("interface name {name:?}"),
        ));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// Creates a TAP device in the namespace of this thread; it goes when the file is closed.
/// Reads and writes are whole frames and never block.
///
/// # Errors
/// No /dev/net/tun, no permission, or the name is taken.
pub fn tap(name: &str) -> io::Result<File> {
    let mut request = interface_request(name)?;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

/// Plugs (true) or pulls (false) the cable of a TAP device.
///
/// # Errors
/// The file is no TAP device.
pub fn tap_carrier(tap: &File, up: bool) -> io::Result<()> {
    let up = libc::c_int::from(up);
    // SAFETY: TUNSETCARRIER reads one int.
    check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETCARRIER, &raw const up) }).map(drop)
}

// ---- raw packet sockets ----

/// Not in every libc crate: since Linux 4.20, do not give us what we send ourselves.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int and its size is given.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) }).map(drop)
}

fn packet_socket(interface: &str, protocol: u16) -> io::Result<OwnedFd> {
    let name = CString::new(interface)?;
    // SAFETY: the name is a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // Protocol 0: nothing is received before the socket is bound to the interface.
    // SAFETY: socket takes three integers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: an all-zero sockaddr_ll is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index as i32;
    set_option(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
    // Kernels without it give us our own frames with a packet type that `receive_frame` skips.
    let _ = set_option(fd, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is a sockaddr_ll and its size is given.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), size) })?;
    Ok(socket)
}

/// A socket that receives every frame of an interface; `buffer` is its room in bytes.
///
/// # Errors
/// No such interface in the namespace of this thread, or no permission.
pub fn receiving_socket(interface: &str, buffer: i32) -> io::Result<OwnedFd> {
    let socket = packet_socket(interface, libc::ETH_P_ALL as u16)?;
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer)?;
    Ok(socket)
}

/// A socket to write whole frames to; it receives nothing.
///
/// # Errors
/// As [`receiving_socket`].
pub fn sending_socket(interface: &str) -> io::Result<File> {
    packet_socket(interface, 0).map(File::from)
}

/// Room for control messages, aligned as the kernel wants them.
#[repr(align(8))]
struct Control([u8; 128]);

/// Waits for a frame and writes it into `frame` as it was on the wire: the outer VLAN tag,
/// which the kernel takes out and reports beside the frame, is put back.
/// Gives false for a frame that this host sent itself.
///
/// # Errors
/// The interface went down or away.
pub fn receive_frame(socket: &OwnedFd, frame: &mut Vec<u8>) -> io::Result<bool> {
    /// More than the largest frame a veth can carry.
    const FRAME_MAX: usize = 66_000;
    frame.resize(FRAME_MAX, 0);
    // SAFETY: all-zero values of these are valid.
    let (mut from, mut message): (libc::sockaddr_ll, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
    let mut control = Control([0; 128]);
    let mut part = libc::iovec {
        iov_base: frame.as_mut_ptr().cast(),
        iov_len: frame.len(),
    };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: every pointer in `message` points to a live buffer of the length given beside it.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    frame.truncate(length as usize);
    if from.sll_pkttype == libc::PACKET_OUTGOING {
        return Ok(false);
    }
    if let Some(tag) = stripped_tag(&message)
        && frame.len() >= 12
    {
        let (kind, control) = (tag.tpid.to_be_bytes(), tag.control().to_be_bytes());
        frame.splice(12..12, [kind[0], kind[1], control[0], control[1]]);
    }
    Ok(true)
}

fn stripped_tag(message: &libc::msghdr) -> Option<Tag> {
    // SAFETY: recvmsg filled the header and its control buffer, which are both alive.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it points to a header inside the control buffer.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_PACKET && kind == libc::PACKET_AUXDATA {
            // SAFETY: the kernel put a tpacket_auxdata behind this header.
            let aux: libc::tpacket_auxdata =
                unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
            if aux.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
                return None;
            }
            let known = aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let tpid = if known { aux.tp_vlan_tpid } else { Tag::C_TAG };
            return Some(Tag::from_control(tpid, aux.tp_vlan_tci));
        }
        // SAFETY: the header is the one found before in the same message.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Bytes of a frame that [`departure`] gives at most.
pub const DEPARTURE_MAX: usize = 128;

/// A socket that tells when frames left by an interface: the kernel stamps them on their way out, before whoever is behind
/// the interface has woken up. `buffer` is its room in bytes.
///
/// # Errors
/// As [`receiving_socket`].
pub fn departures_socket(interface: &str, buffer: i32) -> io::Result<OwnedFd> {
    let instruction = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    // Only outgoing frames, and only their beginning.
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, packet_type),
        instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            u32::from(libc::PACKET_OUTGOING),
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, DEPARTURE_MAX as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let socket = packet_socket(interface, libc::ETH_P_ALL as u16)?;
    let fd = socket.as_raw_fd();
    let _ = set_option(fd, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 0);
    set_option(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, 0)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the program and its length are valid for the call, which copies them.
    check(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size,
        )
    })?;
    Ok(socket)
}

/// The next frame that left: how many of its first bytes are in `frame`, and the nanoseconds since then. `None`: there is
/// none now.
///
/// # Errors
/// The interface went down or away.
pub fn departure(socket: &OwnedFd, frame: &mut [u8; DEPARTURE_MAX]) -> io::Result<Option<(usize, u64)>> {
    // SAFETY: all-zero values of these are valid.
    let (mut message, mut now): (libc::msghdr, libc::timespec) = unsafe { (zeroed(), zeroed()) };
    let mut control = Control([0; 128]);
    let mut part = libc::iovec {
        iov_base: frame.as_mut_ptr().cast(),
        iov_len: frame.len(),
    };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: every pointer in `message` points to a live buffer of the length given beside it.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    if length < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock {
            Ok(None)
        } else {
            Err(error)
        };
    }
    // The stamp is of the wall clock, so its age is taken by it; a clock that was set in between gives nonsense, which the
    // caller tells by its size.
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    // SAFETY: recvmsg filled the header and its control buffer, which are both alive.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: only followed when not null: it points to a header inside the control buffer.
    if header.is_null() || unsafe { (*header).cmsg_type } != libc::SCM_TIMESTAMPNS {
        return Ok(Some((length as usize, u64::MAX)));
    }
    // SAFETY: the kernel put a timespec behind this header.
    let at: libc::timespec = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
    let age = (now.tv_sec - at.tv_sec) * 1_000_000_000 + (now.tv_nsec - at.tv_nsec);
    Ok(Some((length as usize, u64::try_from(age).unwrap_or(u64::MAX))))
}

/// Gives the packet sockets of another process more room, and says how many there were.
///
/// Open vSwitch leaves them at the kernel's default, about 250 small frames: any pause of
/// the process loses packets that a switch of the real world would not lose, and the
/// default itself could only be changed for the whole machine.
///
/// # Errors
/// No such process, or no right to take its descriptors.
pub fn widen_packet_sockets(pid: u32, buffer: i32) -> io::Result<usize> {
    let process = pidfd(pid)?;
    let mut widened = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        // A descriptor may be closed while we look.
        let Ok(target) = entry.path().read_link() else { continue };
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        if !target.to_string_lossy().starts_with("socket:") {
            continue;
        }
        // SAFETY: pidfd_getfd takes three integers.
        let taken = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) } as RawFd;
        let Ok(taken) = check(taken) else { continue };
        // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(taken) };
        if domain(&socket) == Some(libc::AF_PACKET) {
            set_option(taken, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer)?;
            widened += 1;
        }
    }
    Ok(widened)
}

fn domain(socket: &OwnedFd) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int and `size` says so.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    (result == 0).then_some(value)
}
