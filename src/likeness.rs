//! "Did you mean?": which of the known names a mistyped one is most like. How alike two names are is for the caller to
//! say, for slips differ: letters that changed places in a flag, a beginning cut off in a column's name.

/// The candidate that is most like what was written, if any is alike enough; the first of several equally alike ones.
///
/// `likeness` rates a candidate from 0 (nothing in common) to 1 (the same), as the measures of `strsim` do; `least` is what
/// it must reach.
pub(crate) fn nearest<T>(
    candidates: impl IntoIterator<Item = T>,
    least: f64,
    likeness: impl Fn(&T) -> f64,
) -> Option<T> {
    let rated = candidates.into_iter().map(|candidate| (likeness(&candidate), candidate));
    let alike = rated.filter(|(likeness, _)| *likeness >= least);
    alike.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most_alike(candidates: &[(&'static str, f64)], least: f64) -> Option<&'static str> {
        nearest(candidates, least, |(_, likeness)| *likeness).map(|(name, _)| *name)
    }

    #[test]
    fn the_most_alike_is_found_and_the_first_of_equals() {
        let candidates = [("low", 0.2), ("first", 0.8), ("second", 0.8), ("middle", 0.5)];
        assert_eq!(most_alike(&candidates, 0.0), Some("first"));
        assert_eq!(most_alike(&candidates, 0.8), Some("first"));
    }

    #[test]
    fn what_is_not_alike_enough_is_no_answer() {
        assert_eq!(most_alike(&[("low", 0.2), ("middle", 0.5)], 0.6), None);
        assert_eq!(most_alike(&[], 0.0), None);
    }
}
