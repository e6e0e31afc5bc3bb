//! The comparisons a condition can make.

/// How a condition compares an attribute with its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The same text, regardless of case.
    Equals,
    /// Any other text.
    NotEquals,
    /// Holds the text, regardless of case.
    Contains,
    /// Does not hold the text.
    NotContains,
    /// Is one of a list, regardless of case.
    In,
    /// Is none of a list.
    NotIn,
    /// Begins with the text, regardless of case.
    StartsWith,
    /// Ends with the text, regardless of case.
    EndsWith,
    /// The regular expression is found in it; here case counts.
    Matches,
    /// A greater number.
    Gt,
    /// A greater number, or the same.
    Gte,
    /// A smaller number.
    Lt,
    /// A smaller number, or the same.
    Lte,
    /// The same version.
    SemverEq,
    /// A later version.
    SemverGt,
    /// A later version, or the same.
    SemverGte,
    /// An earlier version.
    SemverLt,
    /// An earlier version, or the same.
    SemverLte,
    /// An earlier moment.
    Before,
    /// A later moment.
    After,
    /// The attribute is there (`true`) or is not (`false`).
    Exists,
    /// An IP address in one of the networks.
    Cidr,
    /// An IP address in none of the networks.
    NotCidr,
    /// The caller belongs to one of the segments.
    InSegment,
    /// The caller belongs to none of the segments.
    NotInSegment,
}

impl Operator {
    /// Every operator, with the name it has in JSON.
    pub const ALL: [(Operator, &'static str); 25] = [
        (Operator::Equals, "equals"),
        (Operator::NotEquals, "not_equals"),
        (Operator::Contains, "contains"),
        (Operator::NotContains, "not_contains"),
        (Operator::In, "in"),
        (Operator::NotIn, "not_in"),
        (Operator::StartsWith, "starts_with"),
        (Operator::EndsWith, "ends_with"),
        (Operator::Matches, "matches"),
        (Operator::Gt, "gt"),
        (Operator::Gte, "gte"),
        (Operator::Lt, "lt"),
        (Operator::Lte, "lte"),
        (Operator::SemverEq, "semver_eq"),
        (Operator::SemverGt, "semver_gt"),
        (Operator::SemverGte, "semver_gte"),
        (Operator::SemverLt, "semver_lt"),
        (Operator::SemverLte, "semver_lte"),
        (Operator::Before, "before"),
        (Operator::After, "after"),
        (Operator::Exists, "exists"),
        (Operator::Cidr, "cidr"),
        (Operator::NotCidr, "not_cidr"),
        (Operator::InSegment, "in_segment"),
        (Operator::NotInSegment, "not_in_segment"),
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        Operator::ALL.iter().find(|(operator, _)| *operator == self).map_or("", |(_, name)| name)
    }

    /// The operator of this name.
    pub fn from_name(name: &str) -> Option<Operator> {
        Operator::ALL.iter().find(|(_, known)| *known == name).map(|(operator, _)| *operator)
    }

    /// Whether it holds when the comparison it is named after does not.
    pub(crate) fn is_negated(self) -> bool {
        matches!(
            self,
            Operator::NotEquals
                | Operator::NotContains
                | Operator::NotIn
                | Operator::NotCidr
                | Operator::NotInSegment
        )
    }

    /// Whether it asks about segments, and so about no attribute.
    pub fn is_segment(self) -> bool {
        matches!(self, Operator::InSegment | Operator::NotInSegment)
    }

    /// Whether several values may be given, as an array or separated by commas.
    pub fn takes_list(self) -> bool {
        self.is_segment()
            || matches!(self, Operator::In | Operator::NotIn | Operator::Cidr | Operator::NotCidr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_found_by_the_name_it_has() {
        for (operator, name) in Operator::ALL {
            assert_eq!(operator.as_str(), name);
            assert_eq!(Operator::from_name(name), Some(operator));
        }
        assert_eq!(Operator::from_name("EQUALS"), None);
    }

    #[test]
    fn what_is_negated_says_so_in_its_name() {
        for (operator, name) in Operator::ALL {
            assert_eq!(operator.is_negated(), name.starts_with("not_"), "{name}");
        }
    }
}
