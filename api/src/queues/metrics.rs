//! The figures of the queues as metrics.
//!
//! They are rendered by a recorder that lives as long as one scrape: a queue that is gone leaves
//! nothing behind, and the queues with a label of their own are those that matter now.

use std::collections::{BTreeMap, BTreeSet};

use coatcheck_shared::{
    job::QueueName,
    metric_catalogue::{CATALOGUE, OTHER},
    store::{Figures, StoreError},
    timestamp::Timestamp,
};
use metrics::{Label, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::api::Api;

/// How many queues have a label of their own.
const MOST_LABELS: usize = 100;

/// The figures of all tenants' jobs, as Prometheus reads them; empty where there are none yet.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn render(api: &Api) -> Result<String, StoreError> {
    let census = api.census.latest(None).await?;
    let Some(taken_at) = census.taken_at else {
        return Ok(String::new());
    };
    let known = api.store.queues().await?;
    let queues = labelled(census.by_queue(|_| true), known);
    Ok(text(&queues, taken_at, api.now()))
}

/// The figures by label: of the queues with most jobs, and the rest together. Queues that were
/// used once and have no job count as long as there is room.
fn labelled(
    queues: BTreeMap<QueueName, Figures>,
    known: Vec<QueueName>,
) -> BTreeMap<String, Figures> {
    let names: BTreeSet<QueueName> = queues.keys().cloned().chain(known).collect();
    let mut all: Vec<(QueueName, Figures)> = names
        .into_iter()
        .map(|name| {
            let figures = queues.get(&name).copied().unwrap_or_default();
            (name, figures)
        })
        .collect();
    all.sort_by_key(|(_, figures)| {
        std::cmp::Reverse(figures.queued + figures.running + figures.scheduled)
    });
    let mut labelled = BTreeMap::new();
    for (index, (name, figures)) in all.iter().enumerate() {
        let label = if index < MOST_LABELS {
            name.as_str()
        } else {
            OTHER
        };
        labelled
            .entry(label.to_owned())
            .or_insert_with(Figures::default)
            .add(figures);
    }
    labelled
}

#[expect(clippy::cast_precision_loss, reason = "a number of jobs")]
fn text(queues: &BTreeMap<String, Figures>, taken_at: Timestamp, now: Timestamp) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for metric in CATALOGUE {
            let (name, help) = (metric.name, metric.help);
            metrics::describe_gauge!(name, help);
        }
        gauge!("coatcheck_census_age_seconds").set(now.since(taken_at));
        for (queue, figures) in queues {
            let queue = Label::new("queue", queue.clone());
            for (state, count) in [
                ("scheduled", figures.scheduled),
                ("queued", figures.queued),
                ("running", figures.running),
            ] {
                let labels = vec![queue.clone(), Label::new("state", state)];
                gauge!("coatcheck_queue_jobs", labels).set(count as f64);
            }
            let age = figures
                .oldest_queued_at
                .map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            gauge!("coatcheck_queue_oldest_age_seconds", vec![queue]).set(age);
        }
    });
    recorder.handle().render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_queues_have_labels_and_the_rest_share_one() {
        let name = |number: usize| -> QueueName { format!("q{number:03}").parse().unwrap() };
        let figures = |queued| Figures {
            queued,
            ..Figures::default()
        };
        let queues: BTreeMap<QueueName, Figures> = (1..=MOST_LABELS + 3)
            .map(|number| (name(number), figures(number as u64)))
            .collect();
        let labelled = labelled(queues, vec![name(0)]);
        assert_eq!(labelled.len(), MOST_LABELS + 1);
        assert_eq!(labelled[OTHER], figures(1 + 2 + 3));
        assert!(labelled.contains_key("q103"));
        let text = text(
            &labelled,
            Timestamp::from_microseconds(0),
            Timestamp::from_microseconds(1_500_000),
        );
        assert!(text.contains("coatcheck_census_age_seconds 1.5"), "{text}");
        assert!(
            text.contains("coatcheck_queue_jobs{queue=\"q103\",state=\"queued\"} 103"),
            "{text}"
        );
        assert!(text.contains("# HELP coatcheck_queue_jobs "), "{text}");
    }
}
