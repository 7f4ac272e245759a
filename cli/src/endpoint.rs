//! Endpoints and switches as they are typed: `SWITCH/PORT[:VLAN[.INNER]]`.

use std::str::FromStr;

use skerry_bus::api::EndpointBody;
use skerry_bus::{PortNo, SwitchId};

/// An endpoint typed on the command line, `0x1/2`, `0x1/2:100` or `0x1/2:100.200`. The switch may have colons itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointArg(pub EndpointBody);

impl FromStr for EndpointArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "SWITCH/PORT[:VLAN[.INNER]] is expected, such as 0x1/2, 0x1/2:100 or 0x1/2:100.200";
        let (switch, rest) = text.rsplit_once('/').ok_or(FORM)?;
        let switch_id: SwitchId = switch.parse().map_err(|e: skerry_bus::IdError| e.to_string())?;
        let (port, tags) = match rest.split_once(':') {
            Some((port, tags)) => (port, Some(tags)),
            None => (rest, None),
        };
        let (vlan, inner) = match tags {
            None => (None, None),
            Some(tags) => match tags.split_once('.') {
                Some((vlan, inner)) => (Some(vlan), Some(inner)),
                None => (Some(tags), None),
            },
        };
        let port: u32 = number(port).ok_or_else(|| format!("{port:?} is no port number; {FORM}"))?;
        let tag = |text: Option<&str>, name: &str| match text {
            None => Ok(0),
            Some(text) => number(text)
                .filter(|id| *id <= 4_094)
                .ok_or_else(|| format!("{text:?} is no {name}: 0 to 4094 is expected")),
        };
        Ok(EndpointArg(EndpointBody {
            switch_id,
            port_number: PortNo(port),
            vlan_id: tag(vlan, "VLAN id")?,
            inner_vlan_id: tag(inner, "inner VLAN id")?,
        }))
    }
}

/// Decimal digits only: `parse` would take a plus sign too.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(u64, u32, u16, u16), String> {
        let EndpointArg(e) = text.parse()?;
        Ok((e.switch_id.0, e.port_number.0, e.vlan_id, e.inner_vlan_id))
    }

    #[test]
    fn an_endpoint_is_read_with_and_without_tags_and_with_any_form_of_switch() {
        assert_eq!(read("0x1/2"), Ok((1, 2, 0, 0)));
        assert_eq!(read("0xa1/2:100"), Ok((0xa1, 2, 100, 0)));
        assert_eq!(read("00:00:00:00:00:00:00:01/2:100.200"), Ok((1, 2, 100, 200)));
        assert_eq!(read("of:0000000000000001/2:0.7"), Ok((1, 2, 0, 7)));
    }

    #[test]
    fn what_is_no_endpoint_says_what_is_wrong() {
        for (text, cause) in [
            ("0x1", "SWITCH/PORT"),
            ("zz/2", "switch id"),
            ("0x1/", "port number"),
            ("0x1/+2", "port number"),
            ("0x1/4294967296", "port number"),
            ("0x1/2:", "VLAN id"),
            ("0x1/2:4095", "VLAN id"),
            ("0x1/2:1.4095", "inner VLAN id"),
            ("0x1/2:1.2.3", "inner VLAN id"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
