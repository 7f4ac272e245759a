//! A lab leaves nothing behind, however it ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use skerry_tests::delay::{DelayLine, Pair};
use skerry_tests::interrupt;
use skerry_tests::lab::{End, Lab};
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::relay::Relay;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Ovs as OpenVSwitch, Root, Tap};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "lab::an_ended_lab_leaves_nothing_behind",
        &[Root, OpenVSwitch, Tap],
        an_ended_lab_leaves_nothing_behind,
    ),
    Test(
        "lab::a_program_asked_to_end_twice_cleans_up_itself",
        &[Root, OpenVSwitch, Tap],
        a_program_asked_to_end_twice_cleans_up_itself,
    ),
    Test(
        "lab::a_killed_programs_lab_is_removed_by_its_janitor",
        &[Root, OpenVSwitch, Tap],
        a_killed_programs_lab_is_removed_by_its_janitor,
    ),
    Test(
        "lab::without_a_janitor_the_next_run_removes_it",
        &[Root, OpenVSwitch, Tap],
        without_a_janitor_the_next_run_removes_it,
    ),
    Test(
        "lab::a_living_programs_lab_is_left_alone",
        &[Root],
        a_living_programs_lab_is_left_alone,
    ),
    Test(
        "lab::a_stopped_and_a_stubborn_child_end_too",
        &[],
        a_stopped_and_a_stubborn_child_end_too,
    ),
    Test(
        "lab::a_relay_leads_from_the_host_into_a_namespace",
        &[Root],
        a_relay_leads_from_the_host_into_a_namespace,
    ),
    Test("lab::two_labs_stand_side_by_side", &[Root], two_labs_stand_side_by_side),
];

/// First argument of this program when it is the one to be killed; the second is a prefix.
pub const HOLD: &str = "hold-lab";

/// Makes a full lab, says its name, and waits to be killed or asked to end.
pub fn hold() {
    let installed = interrupt::install().context("signals");
    let made = std::env::args()
        .nth(2)
        .context("no prefix")
        .and_then(|prefix| installed.and_then(|()| full(&prefix)));
    match made {
        Ok(world) => {
            println!("{} {}", world.lab.name(), world.lab.janitor().unwrap_or(0));
            // Ends also when the test is gone.
            std::thread::spawn(|| {
                let _ = std::io::stdin().read(&mut [0]);
                skerry_tests::sys::kill(std::process::id(), libc::SIGTERM)
            });
            while !interrupt::wait(DEADLINE) {}
            // A wait that would take long ends too.
            let waited = wait::until("nothing", DEADLINE, || Err::<(), _>("nothing".to_owned()));
            // Its failure would show in the exit status.
            assert!(waited.is_err_and(|error| error.to_string().contains("interrupted")));
        }
        Err(error) => println!("error: {error:?}"),
    }
}

/// One of everything that a lab can hold.
struct World {
    _ovs: Ovs,
    _delay: DelayLine,
    lab: Lab,
}

fn full(prefix: &str) -> Result<World> {
    let lab = Lab::new(prefix)?;
    lab.add_netns("one")?;
    lab.add_netns("two")?;
    lab.veth(
        End::new("one", "cable").with_address("10.1.0.1/24"),
        End::new("two", "cable").with_address("10.1.0.2/24"),
    )?;
    let delay = DelayLine::start(
        &lab,
        "one",
        &[Pair::new("link", "tap-a", "tap-b", Duration::from_millis(1))],
    )?;
    let ovs = Ovs::start(&lab, "one")?;
    ovs.add_bridge("bridge", 1, &Controllers::new::<String>([]))?;
    ovs.add_port("bridge", "tap-a", 1)?;
    // A child with a child of its own, which is not in the lab's list.
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 1000 & echo started; wait"]);
    let shell = lab.spawn_piped(Some("two"), "shell", shell)?;
    let mut started = String::new();
    BufReader::new(shell.take_stdout().context("no output")?).read_line(&mut started)?;
    Ok(World {
        _ovs: ovs,
        _delay: delay,
        lab,
    })
}

/// What this machine has of labs with a prefix, and all interfaces outside of them.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    namespaces: BTreeSet<String>,
    interfaces: BTreeSet<String>,
    processes: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Machine {
    fn look(prefix: &str) -> Result<Machine> {
        let names = |folder: &str| -> BTreeSet<String> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect()
        };
        let ours = |folder: &str| {
            names(folder)
                .into_iter()
                .filter(|name| name.starts_with(prefix))
                .collect()
        };
        let mut processes = BTreeSet::new();
        let temporary = skerry_tests::lab::base_folder().display().to_string();
        for pid in names("/proc")
            .into_iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        {
            // By where its output goes: every child of a lab has its log there.
            let output = std::fs::read_link(format!("/proc/{pid}/fd/2")).unwrap_or_default();
            if output.starts_with(&temporary) && output.to_string_lossy().contains(prefix) {
                processes.insert(format!("{pid} {}", output.display()));
            }
        }
        let (namespaces, files) = (ours("/run/netns"), ours(&temporary));
        Ok(Machine {
            namespaces,
            interfaces: names("/sys/class/net"),
            processes,
            files,
        })
    }
}

/// A prefix that no other run uses at the same time.
fn own_prefix() -> String {
    let pid = std::process::id().to_string();
    let letters = pid.bytes().map(|digit| char::from(digit - b'0' + b'a'));
    format!("{PREFIX}-{}", letters.collect::<String>())
}

fn an_ended_lab_leaves_nothing_behind() -> Result<()> {
    let prefix = own_prefix();
    let before = Machine::look(&prefix)?;
    let world = full(&prefix)?;
    let within = Machine::look(&prefix)?;
    ensure!(within.namespaces.len() == 2 && within.files.len() == 1, "{within:?}");
    // Delay line, two daemons, a shell and what it started, and the janitor.
    ensure!(within.processes.len() == 6, "{within:?}");
    ensure!(
        within.interfaces == before.interfaces,
        "interfaces outside the namespaces: {within:?}"
    );
    world.lab.teardown()?;
    let after = Machine::look(&prefix)?;
    ensure!(after == before, "before {before:?}\nafter {after:?}");
    ensure!(
        world.lab.add_netns("late").is_err() && Machine::look(&prefix)? == before,
        "made after its end"
    );
    Ok(())
}

/// Another program with a full lab.
struct Holder {
    program: Child,
    lab: String,
    janitor: u32,
}

impl Holder {
    fn start(prefix: &str) -> Result<Holder> {
        let mut program = Command::new(std::env::current_exe()?)
            .args([HOLD, prefix])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(program.stdout.take().context("no output")?).read_line(&mut line)?;
        match line.trim().split_once(' ') {
            Some((lab, janitor)) if lab.starts_with(prefix) => Ok(Holder {
                program,
                lab: lab.to_owned(),
                janitor: janitor.parse()?,
            }),
            _ => {
                program.kill()?;
                program.wait()?;
                bail!("the holder said {line:?}");
            }
        }
    }

    fn kill(mut self) -> Result<()> {
        self.program.kill()?;
        self.program.wait()?;
        Ok(())
    }
}

fn a_program_asked_to_end_twice_cleans_up_itself() -> Result<()> {
    let prefix = own_prefix();
    let before = Machine::look(&prefix)?;
    let mut holder = Holder::start(&prefix)?;
    for signal in [libc::SIGINT, libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        skerry_tests::sys::kill(holder.program.id(), signal)?;
    }
    let status = holder.program.wait()?;
    ensure!(status.success(), "{status}");
    // Nothing to wait for: it was all done before its end.
    let after = Machine::look(&prefix)?;
    ensure!(after == before, "before {before:?}\nafter {after:?}");
    Ok(())
}

fn a_killed_programs_lab_is_removed_by_its_janitor() -> Result<()> {
    let prefix = own_prefix();
    let before = Machine::look(&prefix)?;
    let holder = Holder::start(&prefix)?;
    ensure!(Machine::look(&prefix)?.namespaces.len() == 2);
    holder.kill()?;
    wait::until("nothing left", DEADLINE, || match Machine::look(&prefix) {
        Ok(machine) if machine == before => Ok(()),
        seen => Err(format!("{seen:?}, before: {before:?}")),
    })
}

fn without_a_janitor_the_next_run_removes_it() -> Result<()> {
    let prefix = own_prefix();
    let before = Machine::look(&prefix)?;
    let holder = Holder::start(&prefix)?;
    skerry_tests::sys::kill(holder.janitor, libc::SIGKILL)?;
    ensure!(
        Lab::clean_leftovers(&prefix)?.is_empty(),
        "the lab of a living program was removed"
    );
    ensure!(Machine::look(&prefix)?.namespaces.len() == 2);
    let name = holder.lab.clone();
    holder.kill()?;
    // Its children die with it; only what they started themselves has to be looked for.
    wait::until("the end of its children", DEADLINE, || match Machine::look(&prefix) {
        Ok(machine) if machine.processes.iter().all(|process| process.contains("/shell.log")) => Ok(()),
        seen => Err(format!("{seen:?}")),
    })?;
    let removed = Lab::clean_leftovers(&prefix)?;
    ensure!(removed == [name], "{removed:?}");
    wait::until("nothing left", DEADLINE, || match Machine::look(&prefix) {
        Ok(machine) if machine == before => Ok(()),
        seen => Err(format!("{seen:?}, before: {before:?}")),
    })
}

fn a_living_programs_lab_is_left_alone() -> Result<()> {
    let prefix = own_prefix();
    let lab = Lab::new(&prefix)?;
    lab.add_netns("one")?;
    // A shorter prefix is another one, although names begin with it.
    for prefix in [PREFIX, &prefix] {
        let removed = Lab::clean_leftovers(prefix)?;
        ensure!(!removed.iter().any(|name| name == lab.name()), "{removed:?}");
    }
    lab.run("one", &["ip", "link", "show", "lo"])?;
    Ok(())
}

fn a_stopped_and_a_stubborn_child_end_too() -> Result<()> {
    let lab = Lab::new(&own_prefix())?;
    let mut command = Command::new("sleep");
    command.arg("1000");
    let stopped = lab.spawn(None, "stopped", command)?;
    stopped.signal(libc::SIGSTOP)?;
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' TERM; sleep 1000 & echo $!; while :; do wait; done"]);
    let stubborn = lab.spawn_piped(None, "stubborn", command)?;
    let mut grandchild = String::new();
    BufReader::new(stubborn.take_stdout().context("no output")?).read_line(&mut grandchild)?;
    let status = stubborn.end(Duration::from_millis(200))?;
    ensure!(!status.success() && !stubborn.is_running(), "{status}");
    // What it had started would hold our output open for a long time.
    let grandchild = std::path::Path::new("/proc").join(grandchild.trim()).join("cmdline");
    skerry_tests::wait::until("the end of the grandchild", skerry_tests::wait::DEADLINE, || {
        // A process that nobody reaped yet has no command line any more.
        match std::fs::read(&grandchild) {
            Ok(line) if !line.is_empty() => Err(format!("{} runs", grandchild.display())),
            _ => Ok(()),
        }
    })?;
    lab.teardown()?;
    ensure!(!stopped.is_running(), "the stopped child runs");
    ensure!(
        stopped.signal(libc::SIGTERM).is_err(),
        "a signal was sent to an ended child"
    );
    Ok(())
}

fn two_labs_stand_side_by_side() -> Result<()> {
    let (first, second) = (Lab::new(&own_prefix())?, Lab::new(&own_prefix())?);
    for lab in [&first, &second] {
        lab.add_netns("one")?;
        lab.add_netns("two")?;
        lab.veth(End::new("one", "cable"), End::new("two", "cable"))?;
    }
    first.teardown()?;
    second.run("one", &["ip", "link", "show", "cable"])?;
    // A socket opened within belongs to the namespace: the host's loopback has other addresses.
    second.run("one", &["ip", "addr", "add", "10.3.0.1/32", "dev", "lo"])?;
    let bound = second.within("one", || std::net::TcpListener::bind("10.3.0.1:0").map(drop))?;
    ensure!(bound.is_ok(), "{bound:?}");
    ensure!(
        std::net::TcpListener::bind("10.3.0.1:0").is_err(),
        "the address is outside of the namespace too"
    );
    Ok(())
}

fn a_relay_leads_from_the_host_into_a_namespace() -> Result<()> {
    let lab = Lab::new(&own_prefix())?;
    lab.add_netns("inside")?;
    let listener = lab.within("inside", || TcpListener::bind("127.0.0.1:0"))??;
    let relay = Relay::open(&lab, "inside", listener.local_addr()?)?;
    let mut outside = TcpStream::connect(relay.address())?;
    let (mut inside, _) = listener.accept()?;
    let mut heard = [0; 5];
    outside.write_all(b"there")?;
    inside.read_exact(&mut heard)?;
    ensure!(&heard == b"there");
    inside.write_all(b"again")?;
    drop(inside);
    outside.read_exact(&mut heard)?;
    ensure!(&heard == b"again" && outside.read(&mut heard)? == 0);
    // Nobody listens any more: the door is there, and closes at once.
    drop(listener);
    ensure!(TcpStream::connect(relay.address())?.read(&mut heard).unwrap_or(0) == 0);
    let address = relay.address();
    drop(relay);
    ensure!(TcpStream::connect(address).is_err(), "a closed door is open");
    Ok(())
}
