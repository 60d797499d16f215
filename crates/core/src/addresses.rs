//! Addresses where no authorization server is, and where a request with a credential must not go by mistake.
//!
//! A name that somebody else controls, or a document from the network, can lead to them: link-local addresses, among
//! them the metadata services of clouds, which answer whoever is on the host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata and host services of clouds outside of the link-local ranges. Most are at 169.254.169.254, which is
/// link-local.
const METADATA_V4: [Ipv4Addr; 3] = [
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's WireServer.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle Cloud.
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The same for IPv6: an address and the length of its prefix.
const METADATA_V6: [(Ipv6Addr, u32); 6] = [
    // Akamai (Linode).
    (Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1), 128),
    // Alibaba Cloud.
    (Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200), 128),
    // AWS keeps the whole range for services like this one: ::254 is the metadata's.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    // Google Cloud.
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    // Oracle Cloud.
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    // Scaleway.
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];

/// Why no request goes to an address; `Display` completes "it is".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// 169.254.0.0/16 or fe80::/10.
    LinkLocal,
    /// A metadata service of a cloud.
    Metadata,
    /// 0.0.0.0/8 or `::`. DNS filters answer so.
    Nobodys,
}

impl Unfit {
    /// Whether `allow_link_local` permits it. What is nobody's is a mistake in any case.
    pub fn can_be_allowed(self) -> bool {
        self != Self::Nobodys
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkLocal => "link-local",
            Self::Metadata => "the metadata service of a cloud",
            Self::Nobodys => "the address of no host",
        })
    }
}

/// Why no request goes to this address; `None` if it may. An IPv4 address inside of an IPv6 address counts as well:
/// a translator on the way would unpack it.
pub fn refused(address: IpAddr, allow_link_local: bool) -> Option<Unfit> {
    let unfit = match address {
        IpAddr::V4(address) => unfit_v4(address),
        IpAddr::V6(address) => unfit_v6(address),
    };
    unfit.filter(|unfit| !(allow_link_local && unfit.can_be_allowed()))
}

fn unfit_v4(address: Ipv4Addr) -> Option<Unfit> {
    if address.is_link_local() {
        Some(Unfit::LinkLocal)
    } else if METADATA_V4.contains(&address) {
        Some(Unfit::Metadata)
    } else if address.octets()[0] == 0 {
        Some(Unfit::Nobodys)
    } else {
        None
    }
}

fn unfit_v6(address: Ipv6Addr) -> Option<Unfit> {
    if address.is_loopback() {
        None
    } else if address.is_unicast_link_local() {
        Some(Unfit::LinkLocal)
    } else if METADATA_V6.iter().any(|(prefix, length)| is_within(address, *prefix, *length)) {
        Some(Unfit::Metadata)
    } else {
        inner_v4(address).and_then(unfit_v4)
    }
}

/// The IPv4 address that an IPv6 address stands for.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    // The offset of the prefix that tells, its length, and how far right the IPv4 address is.
    let forms = [
        // IPv4-compatible (RFC 4291 section 2.5.5.1); `::` is among them.
        (Ipv6Addr::UNSPECIFIED, 96, 0),
        // IPv4-mapped (RFC 4291 section 2.5.5.2).
        (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 0),
        // IPv4-translated (RFC 2765 section 2.1).
        (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, 0),
        // NAT64 (RFC 6052 section 2.1), and with a prefix of the network's own (RFC 8215).
        (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 0),
        (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, 0),
        // 6to4 (RFC 3056 section 2).
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 80),
    ];
    let form = forms.into_iter().find(|(prefix, length, _)| is_within(address, *prefix, *length));
    // The cast cuts off what is to the left of it.
    form.map(|(_, _, from_right)| Ipv4Addr::from_bits((address.to_bits() >> from_right) as u32))
}

fn is_within(address: Ipv6Addr, prefix: Ipv6Addr, length: u32) -> bool {
    (address.to_bits() ^ prefix.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], expected: Option<Unfit>) {
        for address in addresses {
            assert_eq!(refused(address.parse().unwrap(), false), expected, "{address}");
        }
    }

    #[test]
    fn s45_link_local_addresses_are_refused_in_every_form() {
        check(
            &[
                "169.254.0.0",
                "169.254.169.254",
                "169.254.255.255",
                "fe80::1",
                "febf::1",
                "::169.254.1.1",
                "::ffff:169.254.1.1",
                "::ffff:0:169.254.1.1",
                "64:ff9b::169.254.1.1",
                "64:ff9b:1::169.254.1.1",
                "2002:a9fe:a9fe::1",
            ],
            Some(Unfit::LinkLocal),
        );
    }

    #[test]
    fn s45_metadata_services_are_refused_in_every_form() {
        check(
            &[
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
                "fd00:ec2::254",
                "fd20:ce::254",
                "fd00:c1::a9fe:a9fe",
                "fd00:42::42",
                "fd00:a9fe:a9fe::1",
                "fd00:100::100:200",
                "::ffff:168.63.129.16",
                "64:ff9b::100.100.100.200",
            ],
            Some(Unfit::Metadata),
        );
    }

    #[test]
    fn what_is_nobodys_is_refused_even_where_link_local_is_allowed() {
        let addresses = ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "64:ff9b::"];
        check(&addresses, Some(Unfit::Nobodys));
        for address in addresses {
            assert_eq!(refused(address.parse().unwrap(), true), Some(Unfit::Nobodys), "{address}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_refused() {
        for address in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16"] {
            assert_eq!(refused(address.parse().unwrap(), true), None, "{address}");
        }
    }

    #[test]
    fn every_other_address_is_fine() {
        check(
            &[
                "127.0.0.1",
                "10.0.0.1",
                "192.168.1.1",
                "169.253.255.255",
                "169.255.0.0",
                "168.63.129.17",
                "192.0.2.1",
                "::1",
                "::ffff:127.0.0.1",
                "::ffff:192.0.2.1",
                "64:ff9b::192.0.2.1",
                "2001:db8::a9fe:a9fe",
                "2002:c000:201::a9fe:a9fe",
                "fec0::1",
                "fd00:ec1::254",
                "fd20:ce::255",
            ],
            None,
        );
    }
}
