//! One row per figure: printed as a table, written as JSON.

use serde_json::{Value, json};

/// What was measured, beside whom, and what it should be.
pub struct Row {
    pub id: &'static str,
    pub what: String,
    pub ours: f64,
    /// Who did the same work in the same run; `budget` for a limit.
    pub peer: &'static str,
    pub theirs: f64,
    pub unit: &'static str,
    /// `ours / theirs`.
    pub ratio: f64,
    /// In words, e.g. `>= 0.8`.
    pub goal: String,
    pub holds: bool,
}

impl Row {
    /// A ratio that must reach at least this.
    pub fn at_least(id: &'static str, what: &str, ours: f64, peer: &'static str, theirs: f64, unit: &'static str, least: f64) -> Row {
        let ratio = ours / theirs;
        Row { id, what: what.to_owned(), ours, peer, theirs, unit, ratio, goal: format!(">= {least}x"), holds: ratio >= least }
    }

    /// A ratio that must stay at or below this.
    pub fn at_most(id: &'static str, what: &str, ours: f64, peer: &'static str, theirs: f64, unit: &'static str, most: f64) -> Row {
        let ratio = ours / theirs;
        Row { id, what: what.to_owned(), ours, peer, theirs, unit, ratio, goal: format!("<= {most}x"), holds: ratio <= most }
    }

    /// A limit that is no ratio: at most so much.
    pub fn budget(id: &'static str, what: &str, ours: f64, limit: f64, unit: &'static str) -> Row {
        let goal = format!("<= {limit} {unit}");
        Row {
            id,
            what: what.to_owned(),
            ours,
            peer: "budget",
            theirs: limit,
            unit,
            ratio: if limit > 0.0 { ours / limit } else { ours },
            goal,
            holds: ours <= limit,
        }
    }

    /// A limit that is no ratio: at least so much.
    pub fn floor(id: &'static str, what: &str, ours: f64, limit: f64, unit: &'static str) -> Row {
        let goal = format!(">= {limit} {unit}");
        Row { id, what: what.to_owned(), ours, peer: "budget", theirs: limit, unit, ratio: ours / limit, goal, holds: ours >= limit }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "what": self.what, "ours": self.ours, "peer": self.peer, "theirs": self.theirs,
            "unit": self.unit, "ratio": self.ratio, "goal": self.goal, "holds": self.holds
        })
    }
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// So many of a hundred take no longer.
pub fn percentile(mut times: Vec<f64>, share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
    times[at - 1]
}

/// Prints the table and writes `target/bench.json`.
pub fn publish(rows: &[Row]) -> std::io::Result<()> {
    println!("\n{:<44} {:>14} {:>14}  {:<9} {:>7}  {:<16} holds", "what", "ours", "theirs", "unit", "ratio", "goal (peer)");
    for row in rows {
        let goal = format!("{} ({})", row.goal, row.peer);
        let holds = if row.holds { "yes" } else { "NO" };
        println!("{:<44} {:>14.2} {:>14.2}  {:<9} {:>7.2}  {goal:<16} {holds}", row.what, row.ours, row.theirs, row.unit, row.ratio);
    }
    let all: Vec<Value> = rows.iter().map(Row::json).collect();
    std::fs::create_dir_all("target")?;
    std::fs::write("target/bench.json", serde_json::to_string_pretty(&all)? + "\n")
}
