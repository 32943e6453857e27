//! One chart. Lines are drawn in SVG that stretches with the page; what is written stands beside
//! it as text, so it has the same size on every screen.

use super::{
    markup::escaped,
    scale::{self, Scale, Unit},
};

/// The drawing's own measure; it is stretched to what room there is.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 300.0;

/// How the values of a chart are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Lines,
    /// Lines, each tenfold of the same height where values are far apart.
    Latencies,
    /// Filled, one on the other.
    Stacked,
    /// Bars, one on the other.
    Bars,
}

/// A row of values, one at each time; none, where nothing was measured.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// The number of its colour.
    pub(super) colour: usize,
    pub(super) values: Vec<Option<f64>>,
}

#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// One sentence on what it shows.
    pub(super) about: &'static str,
    pub(super) unit: Unit,
    pub(super) form: Form,
    /// The times of the values, in seconds since the start, and the end of the last.
    pub(super) times: Vec<f64>,
    pub(super) end_s: f64,
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// The chart with its legend; nothing, where there is nothing to show.
    pub(super) fn to_html(&self) -> String {
        if self
            .series
            .iter()
            .all(|series| series.values.iter().all(Option::is_none))
        {
            return String::new();
        }
        let scale = self.scale();
        let drawing = match self.form {
            Form::Lines | Form::Latencies => self.lines(&scale),
            Form::Stacked => self.areas(&scale),
            Form::Bars => self.bars(&scale),
        };
        let mark = |mark: &f64| {
            let y = y(scale.height(*mark));
            format!("<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n")
        };
        let grid: String = scale.marks.iter().map(mark).collect();
        let note = if scale.is_logarithmic() {
            " Each tenfold has the same height."
        } else {
            ""
        };
        format!(
            "<section class=\"chart\">\n<h2>{title}</h2>\n<p>{about}{note}</p>\n\
             <div class=\"plot\"><div class=\"y\" aria-hidden=\"true\">{ys}</div>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{title}; the table has its figures\">\n{grid}{drawing}</svg>\
             <div class=\"x\" aria-hidden=\"true\">{xs}</div></div>\n{legend}</section>\n",
            title = self.title,
            about = self.about,
            ys = self.y_marks(&scale),
            xs = self.x_marks(),
            legend = self.legend(),
        )
    }

    /// The height that its values need.
    fn scale(&self) -> Scale {
        let values = self
            .series
            .iter()
            .flat_map(|series| series.values.iter().flatten().copied());
        match self.form {
            Form::Lines => Scale::linear(values),
            Form::Latencies => Scale::logarithmic(values),
            Form::Stacked | Form::Bars => {
                Scale::linear((0..self.times.len()).map(|index| self.sum(self.series.len(), index)))
            }
        }
    }

    /// The first so many values at a time, one on the other.
    fn sum(&self, count: usize, index: usize) -> f64 {
        let below = self.series.iter().take(count);
        below.filter_map(|series| *series.values.get(index)?).sum()
    }

    fn x(&self, time: f64) -> f64 {
        (time / self.end_s * WIDTH).clamp(0.0, WIDTH)
    }

    fn lines(&self, scale: &Scale) -> String {
        let line = |series: &Series| {
            let mut path = String::new();
            let mut is_drawing = false;
            for (time, value) in self.times.iter().zip(&series.values) {
                if let Some(value) = value {
                    let (x, y) = (self.x(*time), y(scale.height(*value)));
                    // A point of its own is a dot: its line goes nowhere.
                    path.push_str(&if is_drawing {
                        format!("L{x:.1} {y:.1}")
                    } else {
                        format!("M{x:.1} {y:.1}h0")
                    });
                }
                is_drawing = value.is_some();
            }
            format!("<path class=\"line c{}\" d=\"{path}\"/>\n", series.colour)
        };
        self.series.iter().map(line).collect()
    }

    fn areas(&self, scale: &Scale) -> String {
        let point = |count: usize, index: usize| {
            let height = scale.height(self.sum(count, index));
            format!("{:.1} {:.1}", self.x(self.times[index]), y(height))
        };
        let area = |(number, series): (usize, &Series)| {
            let top = (0..self.times.len()).map(|index| point(number + 1, index));
            let bottom = (0..self.times.len())
                .rev()
                .map(|index| point(number, index));
            let points: Vec<_> = top.chain(bottom).collect();
            let path = points.join("L");
            format!("<path class=\"area c{}\" d=\"M{path}Z\"/>\n", series.colour)
        };
        self.series.iter().enumerate().map(area).collect()
    }

    fn bars(&self, scale: &Scale) -> String {
        let mut drawn = String::new();
        for (number, series) in self.series.iter().enumerate() {
            let mut path = String::new();
            for (index, time) in self.times.iter().enumerate() {
                let next = self.times.get(index + 1).unwrap_or(&self.end_s);
                let (left, right) = (self.x(*time), self.x(*next));
                let bottom = y(scale.height(self.sum(number, index)));
                let top = y(scale.height(self.sum(number + 1, index)));
                if top < bottom {
                    path.push_str(&format!(
                        "M{left:.1} {bottom:.1}V{top:.1}H{right:.1}V{bottom:.1}Z"
                    ));
                }
            }
            let colour = series.colour;
            drawn.push_str(&format!("<path class=\"area c{colour}\" d=\"{path}\"/>\n"));
        }
        drawn
    }

    fn y_marks(&self, scale: &Scale) -> String {
        let mark = |mark: &f64| {
            let top = 100.0 * (1.0 - scale.height(*mark));
            let text = escaped(&self.unit.write(*mark));
            format!("<span style=\"top:{top:.1}%\">{text}</span>")
        };
        scale.marks.iter().map(mark).collect()
    }

    fn x_marks(&self) -> String {
        let mark = |mark: &f64| {
            let left = 100.0 * (mark / self.end_s).clamp(0.0, 1.0);
            // The outermost stay within the page.
            let side = match left {
                ..5.0 => " class=\"first\"",
                95.0.. => " class=\"last\"",
                _ => "",
            };
            let text = scale::time(*mark);
            format!("<span{side} style=\"left:{left:.1}%\">{text}</span>")
        };
        scale::time_marks(self.end_s).iter().map(mark).collect()
    }

    /// What each colour is, with the figures that the chart shows.
    fn legend(&self) -> String {
        let mut rows = String::new();
        for series in &self.series {
            let values: Vec<f64> = series.values.iter().flatten().copied().collect();
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let write = |value: f64| {
                if value.is_finite() {
                    escaped(&self.unit.write(value))
                } else {
                    "–".to_owned()
                }
            };
            let last = values.last().copied().unwrap_or(f64::NAN);
            rows.push_str(&format!(
                "<tr><th scope=\"row\"><i class=\"c{}\"></i>{}</th><td>{}</td><td>{}</td>\
                 <td>{}</td></tr>\n",
                series.colour,
                escaped(&series.name),
                write(lowest),
                write(highest),
                write(last)
            ));
        }
        format!(
            "<table class=\"legend\"><thead><tr><td></td><th scope=\"col\">lowest</th>\
             <th scope=\"col\">highest</th><th scope=\"col\">last</th></tr></thead>\n\
             <tbody>\n{rows}</tbody></table>\n"
        )
    }
}

fn y(height: f64) -> f64 {
    HEIGHT * (1.0 - height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(form: Form, rows: &[&[Option<f64>]]) -> Chart {
        let series = rows.iter().enumerate().map(|(number, values)| Series {
            name: format!("<{number}>"),
            colour: number,
            values: values.to_vec(),
        });
        Chart {
            title: "Jobs",
            about: "About.",
            unit: Unit::Jobs,
            form,
            times: vec![0.0, 1.0, 2.0, 3.0],
            end_s: 4.0,
            series: series.collect(),
        }
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        let values = [Some(0.0), Some(4.0), None, Some(2.0)];
        let html = chart(Form::Lines, &[&values]).to_html();
        assert!(
            html.contains("d=\"M0.0 300.0h0L250.0 0.0M750.0 150.0h0\""),
            "{html}"
        );
    }

    #[test]
    fn what_is_stacked_reaches_to_the_sum() {
        let (below, above) = ([Some(1.0); 4], [Some(3.0); 4]);
        let html = chart(Form::Stacked, &[&below, &above]).to_html();
        assert!(
            html.contains("class=\"area c1\" d=\"M0.0 0.0L250.0 0.0"),
            "{html}"
        );
        let html = chart(Form::Bars, &[&below, &above]).to_html();
        assert!(
            html.contains("class=\"area c1\" d=\"M0.0 225.0V0.0H250.0V225.0Z"),
            "{html}"
        );
    }

    #[test]
    fn what_has_nothing_to_show_is_left_out_and_names_are_escaped() {
        assert_eq!(chart(Form::Lines, &[&[None; 4]]).to_html(), "");
        let html = chart(Form::Lines, &[&[Some(1.0); 4]]).to_html();
        assert!(
            html.contains("&lt;0&gt;") && !html.contains("<0>"),
            "{html}"
        );
    }
}
