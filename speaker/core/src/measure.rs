//! What is measured, as values: durations that are collected into histograms, and how much there is of something now.

macro_rules! histograms {
    ($($(#[$doc:meta])* $variant:ident => $name:literal;)*) => {
        /// A duration that is measured again and again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Histogram {
            $($(#[$doc])* $variant,)*
        }
        impl Histogram {
            /// All of them, so that a driver can show them from the start.
            pub const ALL: &'static [Histogram] = &[$(Histogram::$variant,)*];
            /// The metric, in seconds.
            pub fn name(self) -> &'static str {
                match self { $(Histogram::$variant => $name,)* }
            }
        }
    };
}

macro_rules! gauges {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $label:expr;)*) => {
        /// How much there is of something now.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Gauge {
            $($(#[$doc])* $variant,)*
        }
        impl Gauge {
            /// All of them, so that a driver can show zeros.
            pub const ALL: &'static [Gauge] = &[$(Gauge::$variant,)*];
            /// The metric.
            pub fn name(self) -> &'static str {
                match self { $(Gauge::$variant => $name,)* }
            }
            /// Its label besides the region, if it has one: name and value.
            pub fn label(self) -> Option<(&'static str, &'static str)> {
                match self { $(Gauge::$variant => $label,)* }
            }
        }
    };
}

histograms! {
    /// From the connection of a switch to its announcement.
    Handshake => "speaker_handshake_seconds";
    /// From reading a command to its answer.
    Command => "speaker_command_seconds";
    /// From an echo request of ours to its reply.
    Echo => "speaker_echo_seconds";
    /// From when a discovery packet was planned to when it was handed to the socket.
    DiscoveryJitter => "speaker_discovery_jitter_seconds";
}

gauges! {
    /// Connections whose TLS handshake is under way.
    StateSecuring => "speaker_connections_in_state", Some(("state", "securing"));
    /// Connections whose HELLO is awaited.
    StateHello => "speaker_connections_in_state", Some(("state", "hello"));
    /// Connections whose features are awaited.
    StateFeatures => "speaker_connections_in_state", Some(("state", "features"));
    /// Connections that wait because their switch id is taken by another one, which is challenged.
    StateWaiting => "speaker_connections_in_state", Some(("state", "challenging"));
    /// Connections whose description, ports and role are awaited.
    StateDescribing => "speaker_connections_in_state", Some(("state", "describing"));
    /// Announced connections.
    StateReady => "speaker_connections_in_state", Some(("state", "announced"));
    /// Switches of which this region is MASTER.
    RoleMaster => "speaker_switches", Some(("role", "master"));
    /// Switches of which it is EQUAL.
    RoleEqual => "speaker_switches", Some(("role", "equal"));
    /// Switches of which it is SLAVE.
    RoleSlave => "speaker_switches", Some(("role", "slave"));
    /// Commands that were read and are not answered.
    CommandsOpen => "speaker_commands_open", None;
    /// Commands in the lanes of all switches, the ones under way included.
    LaneCommands => "speaker_lane_commands", None;
    /// Commands in the longest lane.
    LaneCommandsMax => "speaker_lane_commands_max", None;
    /// Answers that Kafka has not taken yet.
    AnswersWaiting => "speaker_answers_waiting", None;
    /// Orders to the disk that it has not answered.
    StoreOrders => "speaker_store_orders", None;
    /// Ports that are probed.
    ProbedPorts => "speaker_discovery_ports", None;
    /// Link directions that are known, silent ones included.
    LinkDirections => "speaker_link_directions", None;
}
