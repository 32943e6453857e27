//! Free ports.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::TcpListener,
};

use crate::Result;

/// Below the range from which outgoing connections take theirs (32768 and up on Linux): none of
/// them can take the port before the server does.
const FIRST: u64 = 15_000;
const LAST: u64 = 32_000;

/// A loopback port that nothing listens on. Chosen at random, since other tests look for one too.
///
/// # Errors
/// Where none of many is free.
pub fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let random = RandomState::new().build_hasher().finish();
        let port = u16::try_from(FIRST + random % (LAST - FIRST))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port was found on 127.0.0.1".into())
}
