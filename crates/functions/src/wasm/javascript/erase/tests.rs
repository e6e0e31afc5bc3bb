use super::*;

/// Without blanks that came from types, so that cases are easy to read.
fn squeezed(source: &str) -> String {
    let stripped = strip("a.ts", source).unwrap();
    assert_eq!(stripped.lines().count(), source.lines().count(), "lines stay: {stripped}");
    stripped.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn everything_that_is_no_type_stays_where_it_was() {
    let source = "const a: number = 1;\nfunction f(x?: string): void { return; }\n";
    assert_eq!(
        strip("a.ts", source).unwrap(),
        "const a         = 1;\nfunction f(x         )       { return; }\n"
    );
}

#[test]
fn each_kind_of_type_goes() {
    let cases = [
        ("let a: string | null = null;", "let a = null;"),
        ("let a!: string;", "let a ;"),
        ("f<number>(x as string, y!, z satisfies Z);", "f (x , y , z );"),
        ("const m = new Map<string, Array<number>>();", "const m = new Map ();"),
        ("const b = <T>(x: T): T => x;", "const b = (x ) => x;"),
        ("type A = { a: string };\nf();", "; f();"),
        ("interface A extends B { a(): void }\nf();", "; f();"),
        ("export interface A { }\nexport type { B };\nf();", "; ; f();"),
        (
            "import type { A } from 'a';\nimport { type B, c } from 'flagbase';",
            "; import { c } from 'flagbase';",
        ),
        ("import { a, type B } from 'flagbase';", "import { a, } from 'flagbase';"),
        ("export { a, type B };", "export { a, };"),
        ("declare const a: string;\ndeclare function f(): void;\ndeclare module 'x' { }\nf();", "; ; ; f();"),
        (
            "function f(a: string): string;\nfunction f(a: any) { return a; }",
            "; function f(a ) { return a; }",
        ),
        ("function f(this: Window, a: number) {}", "function f( a ) {}"),
        ("try {} catch (e: unknown) {}", "try {} catch (e ) {}"),
        ("for (const x of xs as string[]) {}", "for (const x of xs ) {}"),
        ("const [a, b]: [number, string] = c;", "const [a, b] = c;"),
        ("declare enum E { A }\nf();", "; f();"),
    ];
    for (source, expected) in cases {
        assert_eq!(squeezed(source), expected, "{source}");
    }
}

#[test]
fn classes_keep_what_runs() {
    let source = "abstract class A<T> extends B<T> implements C, D<T> {\n\
                  private readonly a: string = 'x';\n\
                  public static b?: number;\n\
                  declare c: string;\n\
                  d!: string;\n\
                  [key: string]: unknown;\n\
                  abstract e(): void;\n\
                  constructor(a: string);\n\
                  constructor(private_: any) { super(); }\n\
                  protected async f?(): Promise<void> {}\n\
                  override get g(): string { return this.a!; }\n\
                  }";
    assert_eq!(
        squeezed(source),
        "class A extends B { ; a = 'x'; ; static b ; ; d ; ; ; ; constructor(private_ ) { super(); } ; async f () {} ; \
         get g() { return this.a ; } }"
    );
}

#[test]
fn statements_that_end_with_a_type_do_not_run_into_the_next() {
    assert_eq!(squeezed("const a = b as C\n[1].map(f)"), "const a = b; [1].map(f)");
    assert_eq!(
        squeezed("a = b!\n(c)"),
        "a = b!\n(c)".replace("!\n", " "),
        "`!` ends no statement before `(`"
    );
    assert_eq!(squeezed("class A { x: number\n['y'] = 1 }"), "class A { x; ['y'] = 1 }");
}

#[test]
fn the_type_of_an_arrow_function_may_take_lines() {
    let stripped = strip("a.ts", "const f = (a): {\n  b: string\n} => a;").unwrap();
    assert_eq!(stripped.split_whitespace().collect::<Vec<_>>().join(" "), "const f = (a ) => a;");
    assert!(stripped.lines().last().unwrap().contains(") =>"), "{stripped}");
}

#[test]
fn what_would_become_code_is_refused_with_its_place() {
    let cases = [
        ("\nenum A { B }", "a.ts:2:1: enums become code"),
        ("namespace A { export const b = 1 }", "a.ts:1:1: namespaces become code"),
        ("class A {\n  constructor(private a: string) {} }", "a.ts:2:15: parameters that become properties"),
        ("@b class A { }", "a.ts:1:1: decorators are not understood"),
        ("import a = require('a');", "a.ts:1:1: `import"),
        ("const a: = 1;", "a.ts:1:10: "),
        ("let é = 1; let 1a;", "a.ts:1:17: "),
    ];
    for (source, expected) in cases {
        let error = strip("a.ts", source).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{source}: {error}");
    }
}

#[test]
fn text_outside_of_ascii_stays() {
    assert_eq!(strip("a.ts", "const é: 'ü' = 'ü';").unwrap(), "const é      = 'ü';");
}
