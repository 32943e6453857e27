//! What the all-in-one says when it is up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use coatcheck_shared::settings::{AuthMode, Settings};

/// Where it listens, and three lines that can be pasted one after the other or all at once.
///
/// Each line stands for itself: the second and the third find the newest job in the list, so
/// that none of them needs a variable or a tool other than curl and grep.
pub(crate) fn greeting(address: SocketAddr, settings: &Settings) -> String {
    let url = format!("http://{}", reachable(address));
    let key = match (settings.auth_mode(), &settings.auth.admin_key) {
        (AuthMode::Open, _) => "",
        (AuthMode::Keys, Some(_)) => r#" -H "Authorization: Bearer $COATCHECK_AUTH__ADMIN_KEY""#,
        (AuthMode::Keys, None) => r#" -H "Authorization: Bearer $KEY""#,
    };
    let newest = |tail: &str| {
        format!(
            "\"{url}$(curl -s{key} '{url}/v1/jobs?limit=1' | grep -o '/v1/jobs/[0-9a-f-]*{tail}' | head -n1)\""
        )
    };
    format!(
        "\
Coatcheck listens on {url}

Hand in three seconds of work (202, and the job's URL in Location):
  curl -i{key} {url}/v1/jobs -H 'Content-Type: application/json' -d '{{\"kind\":\"sleep\",\"payload\":{{\"ms\":3000}}}}'
Poll the newest job, here waiting up to ten seconds for its end:
  curl -i{key} -H 'Prefer: wait=10' {}
Fetch its result:
  curl -i{key} {}
",
        newest(""),
        newest("/result"),
    )
}

/// An address that a client on this machine can call.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::settings::load_from;

    use super::*;

    const WITH_KEY: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-for-tests-only\"";

    fn curl_lines(address: &str, settings: &str) -> Vec<String> {
        greeting(address.parse().unwrap(), &load_from(settings).unwrap())
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn there_are_three_lines_that_call_where_it_listens() {
        let lines = curl_lines("127.0.0.1:9123", "");
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert!(line.starts_with("curl ") && line.contains("http://127.0.0.1:9123"));
            assert!(!line.contains("Authorization"));
        }
    }

    #[test]
    fn an_address_that_means_all_is_called_on_loopback() {
        assert!(curl_lines("0.0.0.0:80", "")[0].contains("http://127.0.0.1:80/"));
        assert!(curl_lines("[::]:80", "")[0].contains("http://[::1]:80/"));
    }

    #[test]
    fn every_call_carries_the_key_without_showing_it() {
        for (settings, key) in [
            (WITH_KEY, "Bearer $COATCHECK_AUTH__ADMIN_KEY"),
            ("auth.mode = \"keys\"", "Bearer $KEY"),
        ] {
            for line in curl_lines("127.0.0.1:80", settings) {
                let calls = line.matches("curl ").count();
                assert_eq!(line.matches(key).count(), calls, "{line}");
            }
        }
    }
}
