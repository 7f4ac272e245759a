//! Rules: modification, removal, requests and counters.

use super::action::Instructions;
use super::line::{Count, Duration};
use super::oxm::fields;
use super::word::{Command, Flagged, Lower, Upper, lower_flags};
use crate::flow::{AggregateStats, FlowMod, FlowModCommand, FlowRemoved, FlowStats, FlowStatsRequest};
use crate::number::{GroupId, NO_BUFFER, PortNo, TableId};
use crate::ofp_match::Match;
use core::fmt::{self, Display, Formatter};

/// `priority=100,in_port=1`: one word, as `ovs-ofctl` has it.
fn priority_and_match(f: &mut Formatter<'_>, priority: u16, matching: &Match) -> fmt::Result {
    write!(f, "priority={priority}")?;
    fields(f, matching, false)
}

/// `0x1/0xff`, and without the mask when that is 0: nothing is compared then.
fn cookie(f: &mut Formatter<'_>, cookie: u64, mask: u64) -> fmt::Result {
    write!(f, " cookie={cookie:#x}")?;
    if mask == 0 { Ok(()) } else { write!(f, "/{mask:#x}") }
}

/// What a rule must send to, where that is asked for.
fn outputs(f: &mut Formatter<'_>, port: PortNo, group: GroupId) -> fmt::Result {
    if port != PortNo::ANY {
        write!(f, " out_port={}", Upper(port))?;
    }
    if group != GroupId::ANY {
        write!(f, " out_group={}", Upper(group))?;
    }
    Ok(())
}

/// `ADD table=1 priority=100,in_port=1 cookie=0x1 idle_timeout=10 send_flow_rem actions=..`: what
/// stands behind the command is what `ovs-ofctl add-flow` (`mod-flows`, `del-flows`) takes.
impl Display for FlowMod {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            cookie: cookie_value,
            cookie_mask,
            table_id,
            command,
            idle_timeout,
            hard_timeout,
            priority,
            buffer_id,
            out_port,
            out_group,
            flags,
            matching,
            instructions,
        } = self;
        write!(f, "{} table={} ", Command(*command), table_id.0)?;
        priority_and_match(f, *priority, matching)?;
        if *cookie_value != 0 || *cookie_mask != 0 {
            cookie(f, *cookie_value, *cookie_mask)?;
        }
        timeouts(f, " ", *idle_timeout, *hard_timeout)?;
        if *buffer_id != NO_BUFFER {
            write!(f, " buffer={buffer_id:#010x}")?;
        }
        outputs(f, *out_port, *out_group)?;
        if !flags.is_empty() {
            write!(f, " {}", lower_flags(*flags, ""))?;
        }
        if deletes(*command) && instructions.is_empty() {
            return Ok(());
        }
        write!(f, " actions={}", Instructions(instructions))
    }
}

/// Whether the command has no use for instructions.
fn deletes(command: FlowModCommand) -> bool {
    matches!(command, FlowModCommand::DELETE | FlowModCommand::DELETE_STRICT)
}

/// The timeouts that there are.
fn timeouts(f: &mut Formatter<'_>, before: &str, idle: u16, hard: u16) -> fmt::Result {
    if idle != 0 {
        write!(f, "{before}idle_timeout={idle}")?;
    }
    if hard != 0 {
        write!(f, "{before}hard_timeout={hard}")?;
    }
    Ok(())
}

impl Display for FlowRemoved {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            cookie: cookie_value,
            priority,
            reason,
            table_id,
            duration_sec,
            duration_nsec,
            idle_timeout,
            hard_timeout,
            packet_count,
            byte_count,
            matching,
        } = self;
        priority_and_match(f, *priority, matching)?;
        write!(f, " reason={} table={}", Lower(*reason), table_id.0)?;
        cookie(f, *cookie_value, 0)?;
        let duration = Duration {
            sec: *duration_sec,
            nsec: *duration_nsec,
        };
        write!(f, " duration={duration}")?;
        timeouts(f, " ", *idle_timeout, *hard_timeout)?;
        write!(f, " n_packets={} n_bytes={}", Count(*packet_count), Count(*byte_count))
    }
}

/// What `ovs-ofctl dump-flows` takes; all tables when none is named.
impl Display for FlowStatsRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            table_id,
            out_port,
            out_group,
            cookie: cookie_value,
            cookie_mask,
            matching,
        } = self;
        match *table_id {
            TableId::ALL => f.write_str("table=ALL")?,
            TableId(number) => write!(f, "table={number}")?,
        }
        if *cookie_value != 0 || *cookie_mask != 0 {
            cookie(f, *cookie_value, *cookie_mask)?;
        }
        outputs(f, *out_port, *out_group)?;
        if !matching.is_empty() {
            f.write_str(" ")?;
            fields(f, matching, true)?;
        }
        Ok(())
    }
}

/// A line of `ovs-ofctl dump-flows`.
impl Display for FlowStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            table_id,
            duration_sec,
            duration_nsec,
            priority,
            idle_timeout,
            hard_timeout,
            flags,
            cookie,
            packet_count,
            byte_count,
            matching,
            instructions,
        } = self;
        let duration = Duration {
            sec: *duration_sec,
            nsec: *duration_nsec,
        };
        write!(f, "cookie={cookie:#x}, duration={duration}, table={}", table_id.0)?;
        write!(
            f,
            ", n_packets={}, n_bytes={}",
            Count(*packet_count),
            Count(*byte_count)
        )?;
        timeouts(f, ", ", *idle_timeout, *hard_timeout)?;
        for name in flags.shorts() {
            f.write_str(", ")?;
            super::word::lower(f, name)?;
        }
        match flags.nameless() {
            0 => {}
            bits => write!(f, ", {bits:#x}")?,
        }
        f.write_str(", ")?;
        priority_and_match(f, *priority, matching)?;
        write!(f, " actions={}", Instructions(instructions))
    }
}

impl Display for AggregateStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            packet_count,
            byte_count,
            flow_count,
        } = self;
        write!(
            f,
            "packet_count={} byte_count={} flow_count={flow_count}",
            Count(*packet_count),
            Count(*byte_count)
        )
    }
}
