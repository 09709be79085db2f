//! Which addresses a name that somebody else chose may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Networks of IPv4 that are no public hosts (IANA's special-purpose registry), and multicast.
const NOT_PUBLIC_V4: [(u8, u8, u8, u8, u8); 16] = [
    (0, 0, 0, 0, 8),
    (10, 0, 0, 0, 8),
    (100, 64, 0, 0, 10),
    (127, 0, 0, 0, 8),
    (169, 254, 0, 0, 16),
    (172, 16, 0, 0, 12),
    (192, 0, 0, 0, 24),
    (192, 0, 2, 0, 24),
    (192, 31, 196, 0, 24),
    (192, 52, 193, 0, 24),
    (192, 88, 99, 0, 24),
    (192, 168, 0, 0, 16),
    (198, 18, 0, 0, 15),
    (198, 51, 100, 0, 24),
    (203, 0, 113, 0, 24),
    (224, 0, 0, 0, 3),
];

/// What an operator may allow: the networks that are private by definition.
const PRIVATE_V4: [(u8, u8, u8, u8, u8); 4] = [
    (10, 0, 0, 0, 8),
    (100, 64, 0, 0, 10),
    (172, 16, 0, 0, 12),
    (192, 168, 0, 0, 16),
];

/// Where clouds tell a machine its secrets, beside the link-local ones: never called, whatever is allowed.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The same of IPv6: Amazon's `fd00:ec2::254` and its neighbours, Google's `fd20:ce::254`.
const METADATA_V6: [(u16, u16); 2] = [(0xfd00, 0x0ec2), (0xfd20, 0x00ce)];

/// What an address is, for whoever wants to call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A host of the internet.
    Public,
    /// An address that is private by definition: an operator may allow it.
    Private,
    /// This machine.
    Loopback,
    /// Nothing that is ever called.
    Never,
}

/// Sorts an address. One of IPv4 in the clothes of IPv6 is what it is inside.
pub(super) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => match inner_v4(address) {
            Some(inner) => place_v4(inner),
            None => place_v6(address),
        },
    }
}

/// Whether a whole network is private, so that an operator may allow it.
pub(super) fn is_private(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => v4(&PRIVATE_V4).any(|private| private.contains(network)),
        IpNet::V6(network) => {
            let [first, ..] = network.network().segments();
            network.prefix_len() >= 7 && first & 0xfe00 == 0xfc00
        }
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    if METADATA_V4.contains(&address) {
        Place::Never
    } else if address.is_loopback() {
        Place::Loopback
    } else if v4(&PRIVATE_V4).any(|network| network.contains(&address)) {
        Place::Private
    } else if v4(&NOT_PUBLIC_V4).any(|network| network.contains(&address)) {
        Place::Never
    } else {
        Place::Public
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    let [first, second, ..] = address.segments();
    if METADATA_V6.contains(&(first, second)) {
        return Place::Never;
    }
    if address.is_loopback() {
        return Place::Loopback;
    }
    if first & 0xfe00 == 0xfc00 {
        return Place::Private;
    }
    // Of all that is assigned only 2000::/3 is public, without protocol assignments (Teredo, ORCHID),
    // documentation and 6to4.
    let is_global = first & 0xe000 == 0x2000;
    let is_special = match first {
        0x2001 => second & 0xfe00 == 0 || second == 0x0db8,
        0x2002 => true,
        0x3fff => second & 0xf000 == 0,
        _other => false,
    };
    if is_global && !is_special {
        Place::Public
    } else {
        Place::Never
    }
}

/// The address of IPv4 that one of IPv6 stands for: mapped, or translated by the network's NAT64
/// (64:ff9b::/96), which networks without IPv4 give for every host that has only that.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let is_translated = (a, b) == (0x0064, 0xff9b) && (c, d, e, f) == (0, 0, 0, 0);
    if is_translated {
        let [one, two] = high.to_be_bytes();
        let [three, four] = low.to_be_bytes();
        return Some(Ipv4Addr::new(one, two, three, four));
    }
    address.to_ipv4_mapped()
}

fn v4(networks: &[(u8, u8, u8, u8, u8)]) -> impl Iterator<Item = Ipv4Net> {
    networks.iter().filter_map(|(a, b, c, d, length)| {
        Ipv4Net::new(Ipv4Addr::new(*a, *b, *c, *d), *length).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Place {
        place(text.parse().unwrap())
    }

    #[test]
    fn n2_addresses_are_sorted_whatever_they_wear() {
        for public in [
            "1.1.1.1",
            "52.96.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a01:111::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(of(public), Place::Public, "{public}");
        }
        for private in [
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "fd12::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert_eq!(of(private), Place::Private, "{private}");
        }
        for loopback in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert_eq!(of(loopback), Place::Loopback, "{loopback}");
        }
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "192.0.2.1",
            "198.19.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "64:ff9b:1::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "::10.0.0.1",
        ] {
            assert_eq!(of(never), Place::Never, "{never}");
        }
    }

    #[test]
    fn n5_only_networks_that_are_private_can_be_allowed() {
        for good in [
            "10.0.0.0/8",
            "10.1.2.3/32",
            "192.168.7.0/24",
            "100.64.0.0/10",
            "fd12:3456::/32",
        ] {
            assert!(is_private(&good.parse().unwrap()), "{good}");
        }
        for bad in [
            "0.0.0.0/0",
            "8.8.8.0/24",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/8",
            "::/0",
            "::1/128",
            "fe80::/10",
            "2000::/3",
        ] {
            assert!(!is_private(&bad.parse().unwrap()), "{bad}");
        }
    }
}
