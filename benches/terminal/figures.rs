//! Medians, percentiles and the table.

/// The middle of some figures.
pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 0.5)
}

/// The figure that so many of them do not exceed.
pub fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// What was measured.
pub struct Table {
    peer: &'static str,
    rows: Vec<[String; 4]>,
}

impl Table {
    /// A table beside a peer of this name.
    pub fn beside(peer: &'static str) -> Self {
        Self { peer, rows: Vec::new() }
    }

    /// A figure of ours beside that of the peer, by round.
    pub fn compare(&mut self, what: &str, ours: &[f64], bare: &[f64]) {
        let ratios: Vec<f64> = ours.iter().zip(bare).map(|(ours, bare)| ours / bare).collect();
        let range = |figures: &[f64]| {
            let at = |share| percentile(figures, share);
            format!("{:.0} ({:.0}-{:.0})", median(figures), at(0.0), at(1.0))
        };
        let row = [what.to_owned(), range(ours), range(bare), format!("{:.2}", median(&ratios))];
        println!("{}", row.join("  "));
        self.rows.push(row);
    }

    /// A figure that has no peer.
    #[allow(dead_code, reason = "not each benchmark has one")]
    pub fn alone(&mut self, what: &str, figure: f64) {
        let row = [what.to_owned(), format!("{figure:.1}"), String::new(), String::new()];
        println!("{}", row.join("  "));
        self.rows.push(row);
    }

    /// Prints all, medians with their range, and the median of the ratios of rounds.
    pub fn print(&self) {
        println!("\n| | devpocket | {} | ratio |\n|---|---|---|---|", self.peer);
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
