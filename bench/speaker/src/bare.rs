//! A switch with as little in it as a controller needs to announce it: it answers the handshake and holds nothing.
//!
//! It is the other end of echoes and of packet-ins, where a whole simulated switch (`skerry load`) would be measured too.

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use ofproto::{
    BadRequestCode, Body, Capabilities, ControllerRole, Desc, ErrorMsg, ErrorType, FeaturesReply, FixedText, Hello,
    MacAddr, Message, MultipartReply, MultipartReplyBody, MultipartReplyFlags, MultipartRequestBody, Port, PortConfig,
    PortFeatures, PortNo, PortState, RoleMsg,
};

/// One switch, or its side of one connection.
#[derive(Debug)]
pub struct Bare {
    dpid: u64,
    ports: u32,
    role: ControllerRole,
    generation_id: u64,
}

impl Bare {
    /// A switch with so many ports, numbered from 1.
    pub fn new(dpid: u64, ports: u32) -> Bare {
        Bare {
            dpid,
            ports,
            role: ControllerRole::EQUAL,
            // None yet.
            generation_id: u64::MAX,
        }
    }

    /// What it says first.
    pub fn hello() -> Bytes {
        let hello = Message::new(0, Body::Hello(Hello::with_versions(&[ofproto::VERSION_1_3])));
        hello.to_bytes().expect("a hello fits")
    }

    /// Whether a controller gave it a role: then the handshake is over.
    pub fn is_settled(&self) -> bool {
        self.role != ControllerRole::EQUAL
    }

    /// Answers a message, unless it is one that nobody answers.
    ///
    /// # Errors
    /// The controller refuses something, or asks for statistics that only a whole switch has.
    pub fn answer(&mut self, message: Message, out: &mut BytesMut) -> Result<()> {
        let body = match message.body {
            Body::Hello(_) | Body::SetAsync(_) | Body::EchoReply(_) | Body::PacketOut(_) => return Ok(()),
            Body::EchoRequest(data) => Body::EchoReply(data),
            Body::BarrierRequest => Body::BarrierReply,
            Body::FeaturesRequest => Body::FeaturesReply(FeaturesReply {
                datapath_id: self.dpid,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: Capabilities::FLOW_STATS,
                reserved: 0,
            }),
            Body::MultipartRequest(request) => Body::MultipartReply(MultipartReply {
                flags: MultipartReplyFlags::NONE,
                body: self.multipart(&request.body)?,
            }),
            Body::RoleRequest(request) => {
                if request.role != ControllerRole::NOCHANGE {
                    self.role = request.role;
                }
                if matches!(request.role, ControllerRole::MASTER | ControllerRole::SLAVE) {
                    self.generation_id = request.generation_id;
                }
                Body::RoleReply(RoleMsg {
                    role: self.role,
                    generation_id: self.generation_id,
                })
            }
            Body::Error(error) => bail!("switch {:#x} was refused: {error}", self.dpid),
            // Bundles, for one: a switch without an extension says so.
            _ => Body::Error(ErrorMsg {
                kind: ErrorType::BAD_REQUEST,
                code: BadRequestCode::BAD_EXPERIMENTER.0,
                data: Bytes::new(),
            }),
        };
        Message::new(message.xid, body).encode(out)?;
        Ok(())
    }

    fn multipart(&self, request: &MultipartRequestBody) -> Result<MultipartReplyBody> {
        use MultipartReplyBody as R;
        Ok(match request {
            MultipartRequestBody::Desc => R::Desc(Box::new(Desc {
                mfr_desc: FixedText::new("Skerry"),
                hw_desc: FixedText::new("bare"),
                sw_desc: FixedText::new("1"),
                serial_num: FixedText::new("0"),
                dp_desc: FixedText::new("bare"),
            })),
            MultipartRequestBody::PortDesc => R::PortDesc((1..=self.ports).map(port).collect()),
            MultipartRequestBody::Flow(_) => R::Flow(Vec::new()),
            MultipartRequestBody::GroupDesc => R::GroupDesc(Vec::new()),
            MultipartRequestBody::MeterConfig(_) => R::MeterConfig(Vec::new()),
            other => bail!("switch {:#x} was asked {other:?}", self.dpid),
        })
    }
}

fn port(number: u32) -> Port {
    Port {
        port_no: PortNo(number),
        hw_addr: MacAddr([2, 0, 0, 0, 0, 1]),
        name: FixedText::new(&format!("p{number}")),
        config: PortConfig::NONE,
        state: PortState::LIVE,
        curr: PortFeatures::NONE,
        advertised: PortFeatures::NONE,
        supported: PortFeatures::NONE,
        peer: PortFeatures::NONE,
        curr_speed: 10_000_000,
        max_speed: 10_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(bare: &mut Bare, body: Body) -> Option<Body> {
        let mut out = BytesMut::new();
        bare.answer(Message::new(7, body), &mut out).expect("an answer");
        let message = (!out.is_empty()).then(|| Message::decode(&out.freeze()).expect("whole"))?;
        assert_eq!(message.xid, 7);
        Some(message.body)
    }

    #[test]
    fn it_is_settled_once_a_role_was_given_and_not_by_a_question() {
        let mut bare = Bare::new(5, 2);
        let role = |role, generation_id| Body::RoleRequest(RoleMsg { role, generation_id });
        let shown = asked(&mut bare, role(ControllerRole::NOCHANGE, 0));
        let Some(Body::RoleReply(shown)) = shown else {
            panic!("{shown:?}")
        };
        assert_eq!((shown.generation_id, bare.is_settled()), (u64::MAX, false));
        asked(&mut bare, role(ControllerRole::SLAVE, 3));
        assert!(bare.is_settled());
    }

    #[test]
    fn it_answers_with_its_id_and_ports_and_says_what_it_has_not() {
        let mut bare = Bare::new(5, 2);
        let features = asked(&mut bare, Body::FeaturesRequest);
        assert!(matches!(features, Some(Body::FeaturesReply(f)) if f.datapath_id == 5));
        let ports = Body::MultipartRequest(ofproto::MultipartRequest::new(MultipartRequestBody::PortDesc));
        let Some(Body::MultipartReply(reply)) = asked(&mut bare, ports) else {
            panic!("no ports")
        };
        assert!(matches!(reply.body, MultipartReplyBody::PortDesc(ports) if ports.len() == 2));
        assert_eq!(asked(&mut bare, Body::EchoReply(Bytes::new())), None);
        assert!(matches!(asked(&mut bare, Body::GetConfigRequest), Some(Body::Error(_))));
        let refusal = Body::Error(ErrorMsg {
            kind: ErrorType::BAD_REQUEST,
            code: 0,
            data: Bytes::new(),
        });
        assert!(bare.answer(Message::new(1, refusal), &mut BytesMut::new()).is_err());
    }
}
