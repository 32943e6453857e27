//! Which addresses `http` jobs may call.
//!
//! A job's URL comes from whoever may submit, and would otherwise reach whatever the worker can
//! reach: databases, the metadata service of a cloud. The check stands where the connection is
//! made, on the very addresses that are connected to: a name server that answers differently the
//! second time gains nothing by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::HandlerError;

/// The URL's host is, or leads to nothing but, private addresses. Which ones is not said: that
/// would tell of the network inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} has a private address; http jobs may call those only where the worker's \
     COATCHECK_HTTP__ALLOW_PRIVATE is true"
)]
pub(super) struct PrivateAddress {
    host: String,
}

/// Refuses a URL whose host is a private address itself: no resolver ever sees those.
pub(super) fn check_literal(url: &Url) -> Result<(), HandlerError> {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    match address {
        Ok(address) if !is_public(address) => Err(HandlerError::fail(PrivateAddress {
            host: host.to_owned(),
        })),
        _ => Ok(()),
    }
}

/// Resolves names as the system does, and leaves out private addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public = public(name.as_str(), found.collect())?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

fn public(host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, PrivateAddress> {
    let is_found = !found.is_empty();
    let public: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| is_public(address.ip()))
        .collect();
    if is_found && public.is_empty() {
        return Err(PrivateAddress {
            host: host.to_owned(),
        });
    }
    Ok(public)
}

/// What IANA's registry of special-purpose IPv4 addresses sets apart, and multicast.
const PRIVATE_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// Where all global unicast addresses of IPv6 are.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What is set apart within them: protocols (Teredo among them) and documentation.
const PRIVATE_V6: [Ipv6Net; 3] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// An IPv4 address in the last 32 bits: mapped, and behind NAT64.
const WITH_V4_AT_END: [Ipv6Net; 2] = [
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
];

/// An IPv4 address after the first 16 bits: 6to4.
const WITH_V4_AT_START: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(address: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !PRIVATE_V4.iter().any(|network| network.contains(&address))
}

/// An IPv6 address that carries one of IPv4 leads to that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits().to_be_bytes();
    let within = |network: &Ipv6Net| network.contains(&address);
    if WITH_V4_AT_END.iter().any(within) {
        return is_public_v4(Ipv4Addr::new(bits[12], bits[13], bits[14], bits[15]));
    }
    if within(&WITH_V4_AT_START) {
        return is_public_v4(Ipv4Addr::new(bits[2], bits[3], bits[4], bits[5]));
    }
    within(&GLOBAL_V6) && !PRIVATE_V6.iter().any(within)
}

#[cfg(test)]
mod tests;
