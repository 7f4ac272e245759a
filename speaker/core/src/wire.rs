//! The writing side of one connection: transaction ids and the bytes that wait to be handed to the driver.

use bytes::{Bytes, BytesMut};
use ofproto::{Body, EncodeError, Message, MessageType};

/// Where the type stands in a header (OpenFlow 1.3.5 section 7.1).
pub(crate) const KIND_AT: usize = 1;

/// Numbers messages and collects their bytes.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    last_xid: u32,
    out: BytesMut,
}

impl Wire {
    /// Write a message. Gives its transaction id.
    ///
    /// # Errors
    /// The message has no form on the wire; nothing was written.
    pub(crate) fn send(&mut self, body: Body) -> Result<u32, EncodeError> {
        // 0 is left to messages that answer nothing.
        self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
        self.write(Message::new(self.last_xid, body))?;
        Ok(self.last_xid)
    }

    /// The transaction id of the next message, which those of `count` messages follow one by one.
    pub(crate) fn reserve(&mut self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if self.last_xid.checked_add(count).is_none() {
            self.last_xid = 0;
        }
        self.last_xid.wrapping_add(1)
    }

    /// Write a message whose length cannot be a problem.
    pub(crate) fn send_short(&mut self, body: Body) -> u32 {
        self.send(body)
            .expect("messages of the handshake, barriers and requests have a fixed small size")
    }

    /// Write a message with a transaction id of the peer's.
    ///
    /// # Errors
    /// The message has no form on the wire; nothing was written.
    pub(crate) fn write(&mut self, message: Message) -> Result<(), EncodeError> {
        message.encode(&mut self.out)
    }

    /// Answer a whole OFPT_ECHO_REQUEST: the reply is the request with another type (OpenFlow 1.3.5 section 7.5.3), so its
    /// bytes are taken as they are. Switches send them by the thousand.
    pub(crate) fn echo(&mut self, request: &[u8]) {
        let kind = self.out.len().saturating_add(KIND_AT);
        self.out.extend_from_slice(request);
        if let Some(kind) = self.out.get_mut(kind) {
            *kind = MessageType::ECHO_REPLY.0;
        }
    }

    /// What was written since the last call.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }
}
