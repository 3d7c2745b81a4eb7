//! Addresses of networks, of hosts in them, and of their hardware.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{ClientMessage, SqlState};

use super::invalid;

/// An address and the bits of it that are the network's.
struct Address {
    ip: IpAddr,
    bits: u8,
}

/// An inet, or a cidr, in PostgreSQL's form.
pub(super) fn address(text: &str, network: bool) -> Result<String, ClientMessage> {
    let name = if network { "cidr" } else { "inet" };
    let address = parsed(text, network).ok_or_else(|| invalid(name, text))?;
    if network && !address.is_network() {
        let message = ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid cidr value: \"{text}\""));
        return Err(message.with_detail("Value has bits set to right of mask."));
    }
    Ok(address.written(network))
}

fn parsed(text: &str, network: bool) -> Option<Address> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let bits = match bits {
        Some(bits) if !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit()) => Some(bits.parse::<u8>().ok()?),
        Some(_) => return None,
        None => None,
    };
    let found = if address.contains(':') {
        Address { ip: IpAddr::V6(address.parse().ok()?), bits: bits.unwrap_or(128) }
    } else {
        let octets = address.split('.').map(octet).collect::<Option<Vec<u8>>>()?;
        if octets.len() > 4 || octets.len() < 4 && !network {
            return None;
        }
        let bits = match bits {
            Some(bits) => bits,
            None if network => bits_of_class(&octets),
            None => 32,
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| octets.get(at).copied().unwrap_or(0));
        Address { ip: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    };
    (found.bits <= found.width()).then_some(found)
}

fn octet(digits: &str) -> Option<u8> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The bits of a network of which only its first octets are told: those of its class, or of the octets if they are more.
fn bits_of_class(octets: &[u8]) -> u8 {
    let told = octets.iter().fold(0, |bits, _| bits + 8);
    let class = match octets.first() {
        Some(240..) => 32,
        Some(224..) if told == 8 => return 4,
        Some(224..) => 8,
        Some(192..) => 24,
        Some(128..) => 16,
        _ => 8,
    };
    class.max(told)
}

impl Address {
    fn width(&self) -> u8 {
        if self.ip.is_ipv4() { 32 } else { 128 }
    }

    fn number(&self) -> u128 {
        match self.ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }

    /// Whether no bit of a host is set.
    fn is_network(&self) -> bool {
        let host = u32::from(self.width() - self.bits);
        host == 0 || 1_u128.checked_shl(host).map_or(self.number() == 0, |beyond| self.number() & (beyond - 1) == 0)
    }

    fn written(&self, network: bool) -> String {
        let ip = match self.ip {
            IpAddr::V6(ip) => six(ip),
            IpAddr::V4(ip) => ip.to_string(),
        };
        if network || self.bits < self.width() { format!("{ip}/{}", self.bits) } else { ip }
    }
}

/// The last two groups after six of zeros are written as four octets.
fn six(ip: Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = ip.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        _ => ip.to_string(),
    }
}

/// An inet's text with the bits of its network, though they are all.
pub(super) fn with_bits(text: &str) -> String {
    match text {
        told if told.contains('/') => told.to_owned(),
        six if six.contains(':') => format!("{six}/128"),
        four => format!("{four}/32"),
    }
}

/// Family, bits, whether it is a cidr, length, bytes.
pub(super) fn to_binary(text: &str, network: bool) -> Option<Vec<u8>> {
    let address = parsed(text, network)?;
    let (family, bytes) = match address.ip {
        IpAddr::V4(ip) => (2, ip.octets().to_vec()),
        IpAddr::V6(ip) => (3, ip.octets().to_vec()),
    };
    let length = u8::try_from(bytes.len()).ok()?;
    Some([&[family, address.bits, u8::from(network), length], bytes.as_slice()].concat())
}

pub(super) fn of_binary(value: &[u8], network: bool) -> Option<String> {
    let (ip, bits) = match value {
        [2, bits, _, 4, rest @ ..] => (IpAddr::from(<[u8; 4]>::try_from(rest).ok()?), *bits),
        [3, bits, _, 16, rest @ ..] => (IpAddr::from(<[u8; 16]>::try_from(rest).ok()?), *bits),
        _ => return None,
    };
    let address = Address { ip, bits };
    (bits <= address.width() && (!network || address.is_network())).then(|| address.written(network))
}

/// A macaddr in PostgreSQL's form.
pub(super) fn hardware(text: &str) -> Result<String, ClientMessage> {
    let bytes = hardware_bytes(text).ok_or_else(|| invalid("macaddr", text))?;
    Ok(hardware_text(bytes))
}

fn hardware_text(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

pub(super) fn hardware_of_binary(value: &[u8]) -> Option<String> {
    <[u8; 6]>::try_from(value).ok().map(hardware_text)
}

/// Six bytes in one, two, three or six groups.
pub(super) fn hardware_bytes(text: &str) -> Option<[u8; 6]> {
    let text = text.trim();
    let groups: Vec<&str> = text.split([':', '-', '.']).collect();
    let digits: String = match groups.as_slice() {
        [_] | [_, _] | [_, _, _] if groups.iter().all(|group| group.len() == 12 / groups.len()) => groups.concat(),
        [_, _, _, _, _, _] if groups.iter().all(|group| matches!(group.len(), 1 | 2)) => {
            groups.iter().map(|group| format!("{group:0>2}")).collect()
        }
        _ => return None,
    };
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let number = u64::from_str_radix(&digits, 16).ok()?;
    let [_, _, bytes @ ..] = number.to_be_bytes();
    Some(bytes)
}
