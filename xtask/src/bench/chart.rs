//! `cargo xtask charts`: draws the sweeps of `cargo xtask bench --json` as SVG files.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde::Deserialize;

use super::sweep::{Axis, Point, Sweep};
use crate::Result;

/// What to draw, and where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files that `cargo xtask bench --sweep … --json` has written.
    #[arg(required = true)]
    measured: Vec<PathBuf>,
    /// The folder that the charts go to.
    #[arg(long, default_value = "docs/charts")]
    into: PathBuf,
}

#[derive(Deserialize)]
struct Measured {
    sweeps: Vec<Sweep>,
}

/// What a chart shows: the end of its file's name, its title, and where the value is.
type Figure = (&'static str, &'static str, fn(&Point) -> f64);

/// One line of a chart: a colour for each mode.
const COLOURS: [&str; 2] = ["#0b7285", "#d9480f"];

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;

/// Draws one chart an axis and figure.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut sweeps = Vec::new();
    for path in &arguments.measured {
        let measured: Measured = serde_json::from_str(&fs::read_to_string(path)?)?;
        sweeps.extend(measured.sweeps);
    }
    fs::create_dir_all(&arguments.into)?;
    let figures: [Figure; 3] = [
        ("throughput", "jobs/s", |point| point.jobs_per_s),
        ("cpu", "CPU of all servers, µs/job", |point| {
            point.processor_us
        }),
        ("post-p99", "POST p99, ms", |point| point.post_p99_ms),
    ];
    for axis in [
        Axis::Payload,
        Axis::Connections,
        Axis::Workers,
        Axis::Backlog,
    ] {
        let lines: Vec<&Sweep> = sweeps.iter().filter(|sweep| sweep.axis == axis).collect();
        if lines.is_empty() {
            continue;
        }
        for (name, title, of) in figures {
            let path = arguments.into.join(format!("{}-{name}.svg", name_of(axis)));
            fs::write(&path, chart(&lines, &format!("{title}, by {axis}"), of))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

const fn name_of(axis: Axis) -> &'static str {
    match axis {
        Axis::Payload => "payload",
        Axis::Connections => "connections",
        Axis::Workers => "workers",
        Axis::Backlog => "backlog",
    }
}

/// A line a mode, over evenly spaced points: they grow by factors.
fn chart(lines: &[&Sweep], title: &str, of: fn(&Point) -> f64) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let top = step_above(points().map(of).fold(0.0, f64::max));
    let mut places: Vec<usize> = points().map(|point| point.at).collect();
    places.sort_unstable();
    places.dedup();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n"
    );
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let y = height_of(value, top);
        let (end, label) = (WIDTH - RIGHT, LEFT - 6.0);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#ddd\"/>\
             <text x=\"{label}\" y=\"{y:.1}\" dy=\"4\" text-anchor=\"end\">{value}</text>"
        );
    }
    for (index, at) in places.iter().enumerate() {
        let (x, y) = (place_of(index, places.len()), HEIGHT - BOTTOM + 18.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{at}</text>"
        );
    }
    for (number, (line, colour)) in lines.iter().zip(COLOURS).enumerate() {
        push_line(&mut svg, line, colour, &places, |point| {
            height_of(of(point), top)
        });
        let x = LEFT + 140.0 * f64::from(u8::try_from(number).unwrap_or(0));
        let y = HEIGHT - 8.0;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>",
            line.mode
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn push_line(
    svg: &mut String,
    line: &Sweep,
    colour: &str,
    places: &[usize],
    height: impl Fn(&Point) -> f64,
) {
    let (mut path, mut dots) = (String::new(), String::new());
    for point in &line.points {
        let index = places.iter().position(|at| *at == point.at).unwrap_or(0);
        let (x, y) = (place_of(index, places.len()), height(point));
        let _ = write!(
            path,
            "{}{x:.1} {y:.1}",
            if path.is_empty() { 'M' } else { 'L' }
        );
        let _ = write!(
            dots,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>{dots}"
    );
}

fn place_of(index: usize, places: usize) -> f64 {
    let part = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    LEFT + 20.0 + (WIDTH - LEFT - RIGHT - 40.0) * part(index) / part(places.max(2) - 1)
}

fn height_of(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
}

/// The next round number, of which quarters are round as well.
fn step_above(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(0.1).log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_at_the_next_round_number() {
        for (value, top) in [(0.0, 0.1), (3.2, 4.0), (61.0, 80.0), (100.0, 100.0)] {
            assert!((step_above(value) - top).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn a_mode_is_a_line_with_a_dot_for_each_point() {
        let point = |at| Point {
            at,
            jobs_per_s: 1_000.0,
            processor_us: 50.0,
            post_p50_ms: 1.0,
            post_p99_ms: 2.0,
        };
        let sweep = Sweep {
            mode: "embedded".to_owned(),
            axis: Axis::Payload,
            points: vec![point(100), point(1_000)],
        };
        let svg = chart(&[&sweep], "jobs/s", |point| point.jobs_per_s);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains(">embedded</text>"), "{svg}");
    }
}
