//! What is asked of the engines.

/// One kind of flag, described so that both engines can express it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On for everybody.
    Static,
    /// On for developers; everybody who asks is one.
    OneRule,
    /// Ten rules of which none matches.
    TenRules,
    /// One rule with a list of a thousand user ids, none of which asks.
    LongList,
    /// One rule that asks for a segment of two conditions, both of which hold.
    Segment,
    /// One rule that asks for a version range.
    Version,
    /// On for half of the callers, the same half each time.
    Rollout,
}

/// Every shape with its name.
pub const SHAPES: [(&str, Shape); 7] = [
    ("static", Shape::Static),
    ("one_rule", Shape::OneRule),
    ("ten_rules", Shape::TenRules),
    ("long_list", Shape::LongList),
    ("segment", Shape::Segment),
    ("version", Shape::Version),
    ("rollout", Shape::Rollout),
];

impl Shape {
    /// Whether `yes` of `asked` answers is what the shape means.
    pub fn is_right(self, yes: usize, asked: usize) -> bool {
        match self {
            Self::Static | Self::OneRule | Self::Segment | Self::Version => yes == asked,
            Self::TenRules | Self::LongList => yes == 0,
            Self::Rollout => (asked / 4..=asked * 3 / 4).contains(&yes),
        }
    }
}
