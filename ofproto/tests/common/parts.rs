//! What a message has in it somewhere: its match fields, actions, instructions and ports.

use ofproto::*;

/// The actions of lists, buckets and instructions.
pub fn actions(body: &Body) -> Vec<Action> {
    let buckets = |buckets: &[Bucket]| buckets.iter().flat_map(|bucket| bucket.actions.clone()).collect();
    match body {
        Body::PacketOut(packet) => packet.actions.clone(),
        Body::GroupMod(group) => buckets(&group.buckets),
        Body::MultipartReply(reply) => match &reply.body {
            MultipartReplyBody::GroupDesc(groups) => groups.iter().flat_map(|group| buckets(&group.buckets)).collect(),
            _ => of_instructions(body),
        },
        _ => of_instructions(body),
    }
}

fn of_instructions(body: &Body) -> Vec<Action> {
    let all = instructions(body).into_iter();
    all.flat_map(|instruction| match instruction {
        Instruction::ApplyActions(actions) | Instruction::WriteActions(actions) => actions,
        _ => Vec::new(),
    })
    .collect()
}

/// The instructions of its rules.
pub fn instructions(body: &Body) -> Vec<Instruction> {
    match body {
        Body::FlowMod(rule) => rule.instructions.clone(),
        Body::MultipartReply(reply) => match &reply.body {
            MultipartReplyBody::Flow(rules) => rules.iter().flat_map(|rule| rule.instructions.clone()).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The fields of its matches.
pub fn matched(body: &Body) -> Vec<Oxm> {
    let of = |matching: &Match| matching.iter().collect::<Vec<Oxm>>();
    match body {
        Body::PacketIn(packet) => of(&packet.matching),
        Body::FlowRemoved(rule) => of(&rule.matching),
        Body::FlowMod(rule) => of(&rule.matching),
        Body::MultipartRequest(request) => match &request.body {
            MultipartRequestBody::Flow(rules) | MultipartRequestBody::Aggregate(rules) => of(&rules.matching),
            _ => Vec::new(),
        },
        Body::MultipartReply(reply) => match &reply.body {
            MultipartReplyBody::Flow(rules) => rules.iter().flat_map(|rule| of(&rule.matching)).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The fields of its matches, and those that its actions set, load or copy.
pub fn fields(body: &Body) -> Vec<OxmField> {
    let mut all: Vec<OxmField> = matched(body).iter().map(Oxm::field).collect();
    for action in actions(body) {
        match action {
            Action::SetField(oxm) => all.push(oxm.field()),
            Action::CopyField(copy) | Action::RegMove(copy) => all.extend([copy.src.field, copy.dst.field]),
            Action::RegLoad(load) => all.push(load.dst.field),
            _ => {}
        }
    }
    all
}

/// Every number that is a port's.
pub fn ports(body: &Body) -> Vec<PortNo> {
    let mut all: Vec<PortNo> = Vec::new();
    for oxm in matched(body) {
        if matches!(oxm.field(), OxmField::IN_PORT | OxmField::IN_PHY_PORT) {
            all.extend(oxm.value_u64().and_then(|port| u32::try_from(port).ok()).map(PortNo));
        }
    }
    for action in actions(body) {
        if let Action::Output { port, .. } = action {
            all.push(port);
        }
    }
    let watched = |buckets: &[Bucket]| -> Vec<PortNo> { buckets.iter().map(|bucket| bucket.watch_port).collect() };
    match body {
        Body::PacketOut(packet) => all.push(packet.in_port),
        Body::FlowMod(rule) => all.push(rule.out_port),
        Body::GroupMod(group) => all.extend(watched(&group.buckets)),
        Body::PortMod(port) => all.push(port.port_no),
        Body::PortStatus(port) => all.push(port.desc.port_no),
        Body::QueueGetConfigRequest(request) => all.push(request.port),
        Body::QueueGetConfigReply(reply) => {
            all.push(reply.port);
            all.extend(reply.queues.iter().map(|queue| queue.port));
        }
        Body::MultipartRequest(request) => match &request.body {
            MultipartRequestBody::Flow(rules) | MultipartRequestBody::Aggregate(rules) => all.push(rules.out_port),
            MultipartRequestBody::PortStats(port) => all.push(port.port_no),
            MultipartRequestBody::Queue(queue) => all.push(queue.port_no),
            _ => {}
        },
        Body::MultipartReply(reply) => match &reply.body {
            MultipartReplyBody::PortStats(ports) => all.extend(ports.iter().map(|port| port.port_no)),
            MultipartReplyBody::Queue(queues) => all.extend(queues.iter().map(|queue| queue.port_no)),
            MultipartReplyBody::PortDesc(ports) => all.extend(ports.iter().map(|port| port.port_no)),
            MultipartReplyBody::GroupDesc(groups) => {
                all.extend(groups.iter().flat_map(|group| watched(&group.buckets)));
            }
            _ => {}
        },
        _ => {}
    }
    all
}
