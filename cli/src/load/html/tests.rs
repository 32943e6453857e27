use std::time::{Duration, Instant};

use coatcheck_shared::job::State;

use super::*;
use crate::load::{
    client::Answer,
    measurements::Measurements,
    mix::Mix,
    plan::{Follow, Limit, Pace, Plan, Target},
    profile::Profile,
    run::Ending,
};

const EVIL: &str = "</style><script>alert(1)</script>\"'&";

/// A run in which everything happened, with names and answers that are markup.
fn report(follow: Follow) -> Report {
    let start = Instant::now();
    let mut wishes = vec!["sleep=3".parse().unwrap(), "sleep=1".parse().unwrap()];
    let evil: &mut crate::load::mix::Wish = &mut wishes[1];
    evil.name = Some(EVIL.to_owned());
    let plan = Plan {
        target: Target::new(&"http://localhost".parse().unwrap(), None).unwrap(),
        mix: Mix::of(&wishes).unwrap(),
        connections: 4,
        pace: Pace::Open {
            rate: Profile::constant(5.0),
        },
        stages: Vec::new(),
        limit: Limit {
            duration: Some(Duration::from_secs(3)),
            jobs: None,
        },
        follow,
        settle: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        thresholds: vec!["post.max<1h".parse().unwrap(), "errors>5".parse().unwrap()],
    };
    let mut measured = Measurements::new(start, 2);
    for part in [0, 0, 1] {
        measured.accepted(part, start, Duration::ZERO);
        measured.started(start);
        measured.finished(part, start, State::Succeeded);
    }
    measured.refused(&Answer {
        status: hyper::StatusCode::BAD_REQUEST,
        headers: hyper::HeaderMap::new(),
        body: serde_json::json!({ "title": EVIL }).to_string().into(),
    });
    let end = start + Duration::from_secs(3);
    measured.end(end);
    Report::new(&plan, &measured, Ending::Complete, end)
}

#[test]
fn the_page_needs_nothing_else_and_nothing_in_it_is_a_script() {
    for follow in [Follow::LongPoll, Follow::Not { drain: false }] {
        let page = page(&report(follow), "2026-01-31T12:00:00.000000Z");
        for forbidden in [
            "<script", "http://", "https://", "src=", "url(", "@import", "<link",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}: {page}");
        }
        assert!(page.contains("&lt;/style&gt;&lt;script&gt;alert(1)"));
        assert!(page.contains("2026-01-31 12:00:00 UTC"));
    }
}

#[test]
fn the_page_has_every_chart_and_table() {
    let page = page(&report(Follow::LongPoll), "");
    for part in [
        "Throughput",
        "POST to result",
        "Jobs by state",
        "Jobs by kind",
        "Errors",
        "post.max&lt;1h",
        "holds: failed",
        "does not hold",
        "All figures behind the charts",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn every_element_is_closed() {
    let page = page(&report(Follow::LongPoll), "");
    for element in [
        "section", "table", "div", "tr", "td", "th", "svg", "dl", "details", "main",
    ] {
        let opened = page.matches(&format!("<{element}>")).count()
            + page.matches(&format!("<{element} ")).count();
        assert_eq!(
            opened,
            page.matches(&format!("</{element}>")).count(),
            "{element}"
        );
    }
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_the_run() {
    let Err(failure) = Page::open(Path::new("/no/such/folder/x.html")) else {
        panic!("it was opened");
    };
    assert_eq!(failure.status(), USAGE);
}

#[test]
fn a_new_page_leaves_nothing_of_a_longer_old_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x".repeat(1_000_000)).unwrap();
    let page = Page::open(file.path()).unwrap();
    page.write(&report(Follow::LongPoll)).unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"));
}

#[test]
fn a_run_without_a_report_leaves_things_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.html");
    drop(Page::open(&path).unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "of yesterday").unwrap();
    drop(Page::open(&path).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "of yesterday");
}
