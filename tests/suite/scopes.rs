use tower_warden::{
    ConfigErrorKind,
    scope::{All, Any, Requirement, Scope, ScopeHierarchy, Scopes, scopes},
};

scopes! {
    /// Permission to read.
    Read = "read";
    /// Permission to write.
    Write = "write";
    /// Both of them.
    Admin = "admin";
}

fn held(text: &str) -> impl Fn(&Scope) -> bool {
    let held = Scopes::parse(text).unwrap();
    move |scope| held.contains(scope)
}

#[test]
fn scopes_are_parsed_by_the_grammar() {
    // (62)
    assert_eq!(Scopes::parse("b  a b").unwrap().to_string(), "a b");
    assert!(Scopes::parse("").unwrap().is_empty());
    for bad in ["a\"b", "a\\b", "ключ", "a\tb", "a\nb", "a\u{7f}"] {
        let error = Scopes::parse(bad).unwrap_err();
        assert_eq!((error.kind(), error.refused_value()), (ConfigErrorKind::Scope, Some(bad)));
    }
    assert!(Scope::parse("").is_err());
    assert!(Scope::parse("a b").is_err() && "a b".parse::<Scope>().is_err());
    assert!(Scope::parse("https://api.example.com/billing.read!#[]~").is_ok());
}

#[test]
fn sets_contain_all_or_any_of_other_sets() {
    let held = Scopes::parse("read write").unwrap();
    let (read, both, other) = ("read", "write read", "read admin");
    let parse = |text| Scopes::parse(text).unwrap();
    assert!(held.contains_all(&parse(read)) && held.contains_all(&parse(both)) && !held.contains_all(&parse(other)));
    assert!(held.contains_any(&parse(other)) && !held.contains_any(&parse("admin")));
    assert!(held.contains_all(&parse("")) && !held.contains_any(&parse("")));
    assert_eq!(held.len(), 2);
}

#[test]
fn requirements_nest() {
    type Nested = All<(Read, Any<(Write, Admin)>)>;
    assert!(Nested::is_met(&held("read write")));
    assert!(Nested::is_met(&held("read admin")));
    assert!(!Nested::is_met(&held("write admin")));
    assert!(!Nested::is_met(&held("read")));
    assert_eq!(Nested::scopes().to_string(), "admin read write");
    assert!(!Any::<(Read, Write)>::is_met(&held("")));
}

#[test]
fn a_hierarchy_is_transitive_and_does_not_imply_upwards() {
    let hierarchy = ScopeHierarchy::new([
        (Admin::SCOPE, Scopes::parse("write").unwrap()),
        (Write::SCOPE, Scopes::parse("read").unwrap()),
        (Admin::SCOPE, Scopes::parse("audit").unwrap()),
    ])
    .unwrap();
    let grants = |held: &str, scope| hierarchy.grants(&Scopes::parse(held).unwrap(), &scope);
    assert!(grants("admin", Read::SCOPE) && grants("admin", Write::SCOPE) && grants("write", Read::SCOPE));
    assert!(grants("admin", Scope::from_static("audit")));
    assert!(!grants("read", Write::SCOPE) && !grants("write", Admin::SCOPE) && !grants("", Read::SCOPE));
}

#[test]
fn a_hierarchy_with_a_cycle_is_refused_at_start() {
    let rule = |scope: &'static str, implied| (Scope::from_static(scope), Scopes::parse(implied).unwrap());
    for rules in [
        vec![rule("a", "a")],
        vec![rule("a", "b"), rule("b", "a")],
        vec![rule("top", "a"), rule("a", "b"), rule("b", "c"), rule("c", "a")],
    ] {
        let error = ScopeHierarchy::new(rules).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::ScopeCycle);
        assert!(error.refused_value().is_some());
    }
    // A diamond is not a cycle.
    assert!(ScopeHierarchy::new([rule("a", "b c"), rule("b", "d"), rule("c", "d")]).is_ok());
}

#[test]
#[should_panic(expected = "visible ASCII")]
fn a_static_scope_with_a_forbidden_character_panics() {
    let _ = Scope::from_static("a b");
}
