//! Structures whose fields may have any value, each of its own.

use super::{Draw, Gen};
use ofproto::*;

macro_rules! structs {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                $(let $field = Gen::generate(d);)*
                Self { $($field),* }
            }
        }
    )*};
}

structs! {
    FieldCopy { n_bits, src_offset, dst_offset, src, dst }
    BundleControl { bundle_id, kind, flags, properties }
    Experimenter { experimenter, exp_type, data }
    RoleStatus { role, reason, generation_id }
    RoleMsg { role, generation_id }
    AsyncConfig { packet_in_mask, port_status_mask, flow_removed_mask }
    FeaturesReply { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities, reserved }
    SwitchConfig { flags, miss_send_len }
    Port { port_no, hw_addr, name, config, state, curr, advertised, supported, peer, curr_speed, max_speed }
    PortStatus { reason, desc }
    PortMod { port_no, hw_addr, config, mask, advertise }
    PortStatsRequest { port_no }
    PortStats {
        port_no, rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors,
        rx_frame_err, rx_over_err, rx_crc_err, collisions, duration_sec, duration_nsec,
    }
    PacketIn { buffer_id, total_len, reason, table_id, cookie, matching, data }
    PacketOut { buffer_id, in_port, actions, data }
    FlowMod {
        cookie, cookie_mask, table_id, command, idle_timeout, hard_timeout, priority, buffer_id, out_port,
        out_group, flags, matching, instructions,
    }
    FlowRemoved {
        cookie, priority, reason, table_id, duration_sec, duration_nsec, idle_timeout, hard_timeout,
        packet_count, byte_count, matching,
    }
    FlowStatsRequest { table_id, out_port, out_group, cookie, cookie_mask, matching }
    FlowStats {
        table_id, duration_sec, duration_nsec, priority, idle_timeout, hard_timeout, flags, cookie,
        packet_count, byte_count, matching, instructions,
    }
    AggregateStats { packet_count, byte_count, flow_count }
    Bucket { weight, watch_port, watch_group, actions }
    GroupMod { command, kind, group_id, buckets }
    GroupStatsRequest { group_id }
    BucketCounter { packet_count, byte_count }
    GroupStats { group_id, ref_count, packet_count, byte_count, duration_sec, duration_nsec, bucket_stats }
    GroupDesc { kind, group_id, buckets }
    GroupFeatures { types, capabilities, max_groups, actions }
    MeterMod { command, flags, meter_id, bands }
    MeterRequest { meter_id }
    MeterBandStats { packet_band_count, byte_band_count }
    MeterStats { meter_id, flow_count, packet_in_count, byte_in_count, duration_sec, duration_nsec, band_stats }
    MeterConfig { flags, meter_id, bands }
    MeterFeatures { max_meter, band_types, capabilities, max_bands, max_color }
    TableMod { table_id, config }
    TableStats { table_id, active_count, lookup_count, matched_count }
    InstructionId { kind, body }
    ActionId { kind, body }
    TableFeatures { table_id, name, metadata_match, metadata_write, config, max_entries, properties }
    PacketQueue { queue_id, port, properties }
    QueueGetConfigRequest { port }
    QueueGetConfigReply { port, queues }
    QueueStatsRequest { port_no, queue_id }
    QueueStats { port_no, queue_id, tx_bytes, tx_packets, tx_errors, duration_sec, duration_nsec }
    Desc { mfr_desc, hw_desc, sw_desc, serial_num, dp_desc }
    ExperimenterMultipart { experimenter, exp_type, data }
    MultipartRequest { flags, body }
    MultipartReply { flags, body }
    Hello { elements }
}
