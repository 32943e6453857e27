use super::*;

const PRIVATE: [&str; 33] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "ff02::1",
];

const PUBLIC: [&str; 11] = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2606:4700::1111",
];

#[test]
fn addresses_are_told_apart_to_the_edges_of_their_ranges() {
    for text in PRIVATE {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    for text in PUBLIC {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn a_private_address_is_seen_through_every_spelling() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1:80/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://user@169.254.169.254/latest/meta-data",
        "http://0/",
    ] {
        let error = check_literal(&Url::parse(url).unwrap()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("COATCHECK_HTTP__ALLOW_PRIVATE"),
            "{message}"
        );
    }
    for url in [
        "http://1.1.1.1/",
        "http://[2606:4700::1111]/",
        "http://example.com/",
    ] {
        check_literal(&Url::parse(url).unwrap()).unwrap();
    }
}

#[test]
fn of_a_names_addresses_the_public_ones_are_left() {
    let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let mixed = vec![address("10.0.0.1:0"), address("1.1.1.1:0")];
    assert_eq!(public("mixed", mixed).unwrap(), [address("1.1.1.1:0")]);
    let refusal = public("inside", vec![address("[::1]:0")]).unwrap_err();
    assert!(
        refusal
            .to_string()
            .starts_with("inside has a private address")
    );
    assert_eq!(public("nowhere", Vec::new()).unwrap(), []);
}
