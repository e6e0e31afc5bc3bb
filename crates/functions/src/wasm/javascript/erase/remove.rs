//! Finds what is only for the compiler of TypeScript.

use std::collections::HashSet;

use oxc_ast::ast::{
    ArrowFunctionExpression, Class, Declaration, Decorator, ExportAllDeclaration, ExportDeclaration,
    ExportDefaultDeclaration, ExportDefaultDeclarationKind, ExportFromDeclaration, ExportNamedDeclaration,
    FormalParameter, ImportDeclaration, ImportDeclarationSpecifier, MethodDefinition, PropertyDefinition,
    PropertyDefinitionType, Statement, TSAsExpression, TSEnumDeclaration, TSExportAssignment,
    TSImportEqualsDeclaration, TSIndexSignature, TSNamespaceDeclaration, TSNonNullExpression,
    TSSatisfiesExpression, TSThisParameter, TSTypeAnnotation, TSTypeAssertion, TSTypeParameterDeclaration,
    TSTypeParameterInstantiation, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};

use super::Blank;

/// Words before a member of a class that say nothing at run time.
const MODIFIERS: [&str; 7] =
    ["public", "private", "protected", "readonly", "override", "abstract", "declare"];

/// What has to be written otherwise, since it would have to become code.
const ENUM: &str = "enums become code and cannot just be taken out: use a constant object";
const NAMESPACE: &str =
    "namespaces become code and cannot just be taken out: use plain functions and constants";
const PARAMETER: &str = "parameters that become properties cannot just be taken out: declare the property and set it in the constructor";
const DECORATOR: &str = "decorators are not understood: call the function yourself";
const REQUIRE: &str =
    "`import … = …` and `export = …` are not understood: use `import … from` and `export default`";

/// Collects what goes.
pub(super) struct Remover<'s> {
    source: &'s str,
    pub(super) blanks: Vec<Blank>,
    /// Where something cannot be taken out, and why.
    pub(super) refused: Vec<(usize, &'static str)>,
    /// Where statements end without a semicolon.
    open_ends: HashSet<usize>,
}

impl<'s> Remover<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, blanks: Vec::new(), refused: Vec::new(), open_ends: HashSet::new() }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.source.as_bytes().get(at).copied()
    }

    fn blank(&mut self, start: usize, end: usize) {
        // What follows on the next line must not go on with a statement that ended with a type.
        let first = self.open_ends.contains(&end).then_some(';');
        self.blanks.push(Blank { start, end, first, last: None });
    }

    /// A statement or a member that goes; a semicolon in its place divides what is round it.
    fn blank_whole(&mut self, span: Span) {
        let (start, end) = of(span);
        self.blanks.push(Blank { start, end, first: Some(';'), last: None });
    }

    fn refuse(&mut self, span: Span, why: &'static str) {
        self.refused.push((span.start as usize, why));
    }

    fn statement(&mut self, span: Span) {
        let end = span.end as usize;
        if end > 0 && self.byte(end - 1) != Some(b';') {
            self.open_ends.insert(end);
        }
    }

    /// Where the next byte is that is neither white space nor part of a comment.
    fn skip(&self, mut at: usize) -> usize {
        loop {
            let rest = self.source.get(at..).unwrap_or_default();
            let trimmed = rest.trim_start();
            at += rest.len() - trimmed.len();
            let comment = match trimmed.get(..2) {
                Some("//") => trimmed.find('\n').unwrap_or(trimmed.len()),
                Some("/*") => trimmed.find("*/").map_or(trimmed.len(), |end| end + 2),
                _ => return at,
            };
            at += comment;
        }
    }

    /// `?` or `!` after a name.
    fn mark_after(&mut self, at: usize) {
        let mut at = self.skip(at);
        if self.byte(at) == Some(b']') {
            at = self.skip(at + 1);
        }
        if matches!(self.byte(at), Some(b'?' | b'!')) {
            self.blanks.push(Blank { start: at, end: at + 1, first: None, last: None });
        }
    }

    /// Words between the beginning of a member and its name.
    fn modifiers(&mut self, member: Span, key: Span) {
        let (start, end) = (member.start as usize, key.start as usize);
        let mut at = start;
        while at < end {
            at = self.skip(at);
            let word = self.source.get(at..end).unwrap_or_default();
            let length = word.find(|c: char| !c.is_alphanumeric()).unwrap_or(word.len()).max(1);
            if word.get(..length).is_some_and(|word| MODIFIERS.contains(&word)) {
                let first = (at == start).then_some(';');
                self.blanks.push(Blank { start: at, end: at + length, first, last: None });
            }
            at += length;
        }
    }

    /// An item of a list, with the comma after it.
    fn item(&mut self, span: Span) {
        let after = self.skip(span.end as usize);
        let end = if self.byte(after) == Some(b',') { after + 1 } else { span.end as usize };
        self.blank(span.start as usize, end);
    }

    /// `keyword` between two places.
    fn word(&mut self, keyword: &str, from: usize, to: usize) {
        if let Some(found) = self.source.get(from..to).and_then(|part| part.find(keyword)) {
            self.blank(from + found, from + found + keyword.len());
        }
    }
}

fn of(span: Span) -> (usize, usize) {
    (span.start as usize, span.end as usize)
}

fn is_type_only(declaration: &Declaration<'_>) -> bool {
    match declaration {
        Declaration::TSTypeAliasDeclaration(_)
        | Declaration::TSInterfaceDeclaration(_)
        | Declaration::TSExternalModuleDeclaration(_)
        | Declaration::TSGlobalDeclaration(_) => true,
        Declaration::VariableDeclaration(it) => it.declare,
        Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
        Declaration::ClassDeclaration(it) => it.declare,
        Declaration::TSEnumDeclaration(it) => it.declare,
        Declaration::TSNamespaceDeclaration(it) => it.declare,
        Declaration::TSImportEqualsDeclaration(_) => false,
    }
}

impl<'a> Visit<'a> for Remover<'_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        if let Some(declaration) = it.as_declaration()
            && is_type_only(declaration)
        {
            self.blank_whole(it.span());
            return;
        }
        match it {
            Statement::ExpressionStatement(_)
            | Statement::VariableDeclaration(_)
            | Statement::ReturnStatement(_)
            | Statement::ThrowStatement(_)
            | Statement::ExportDefaultDeclaration(_) => self.statement(it.span()),
            _ => {}
        }
        walk::walk_statement(self, it);
    }

    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        let (mut start, end) = of(it.span);
        if self.byte(start) != Some(b':') {
            let before = self.source.get(..start).unwrap_or_default();
            start = before.rfind(':').unwrap_or(start);
        }
        self.blank(start, end);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.blank(it.span.start as usize, it.span.end as usize);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.blank(it.span.start as usize, it.span.end as usize);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(it.expression.span().end as usize, it.span.end as usize);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(it.expression.span().end as usize, it.span.end as usize);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(it.span.end as usize - 1, it.span.end as usize);
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        self.blank(it.span.start as usize, it.expression.span().start as usize);
        self.visit_expression(&it.expression);
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        let annotation = it.return_type.as_ref().map(|annotation| of(annotation.span));
        walk::walk_arrow_function_expression(self, it);
        // No line may end between `)` and `=>`: the parenthesis moves to where the type ended.
        if let Some((start, end)) = annotation
            && self.source.get(start..end).is_some_and(|gone| gone.contains('\n'))
        {
            let close = it.params.span.end as usize - 1;
            self.blanks.retain(|blank| blank.end != end);
            self.blanks.push(Blank { start: close, end, first: None, last: Some(')') });
        }
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        self.item(it.span);
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.accessibility.is_some() || it.readonly || it.r#override {
            self.refuse(it.span, PARAMETER);
        }
        if it.optional {
            self.mark_after(it.pattern.span().end as usize);
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            self.mark_after(it.id.span().end as usize);
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        if it.r#abstract {
            let end = it.body.span.start as usize;
            self.word("abstract", it.span.start as usize, end);
        }
        if let Some(last) = it.implements.last() {
            let before = it.heritage.as_ref().map(|heritage| {
                heritage
                    .type_arguments
                    .as_ref()
                    .map_or(heritage.expression.span().end, |types| types.span.end)
            });
            let named = it
                .type_parameters
                .as_ref()
                .map(|types| types.span.end)
                .or(it.id.as_ref().map(|id| id.span.end));
            let from = before.or(named).unwrap_or(it.span.start) as usize;
            let start = self
                .source
                .get(from..)
                .and_then(|rest| rest.find("implements"))
                .map_or(from, |found| from + found);
            self.blank(start, last.span.end as usize);
        }
        for decorator in &it.decorators {
            self.refuse(decorator.span, DECORATOR);
        }
        if let Some(types) = &it.type_parameters {
            self.visit_ts_type_parameter_declaration(types);
        }
        if let Some(heritage) = &it.heritage {
            self.visit_expression(&heritage.expression);
            if let Some(types) = &heritage.type_arguments {
                self.visit_ts_type_parameter_instantiation(types);
            }
        }
        self.visit_class_body(&it.body);
    }

    fn visit_method_definition(&mut self, it: &MethodDefinition<'a>) {
        if it.value.body.is_none() {
            self.blank_whole(it.span);
            return;
        }
        self.modifiers(it.span, it.key.span());
        if it.optional {
            self.mark_after(it.key.span().end as usize);
        }
        walk::walk_method_definition(self, it);
    }

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        if it.declare || it.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition {
            self.blank_whole(it.span);
            return;
        }
        self.statement(it.span);
        self.modifiers(it.span, it.key.span());
        if it.optional || it.definite {
            self.mark_after(it.key.span().end as usize);
        }
        walk::walk_property_definition(self, it);
    }

    fn visit_ts_index_signature(&mut self, it: &TSIndexSignature<'a>) {
        self.blank_whole(it.span);
    }

    fn visit_import_declaration(&mut self, it: &ImportDeclaration<'a>) {
        if it.import_kind.is_type() {
            self.blank_whole(it.span);
            return;
        }
        for specifier in it.specifiers.iter().flatten() {
            if let ImportDeclarationSpecifier::ImportSpecifier(specifier) = specifier
                && specifier.import_kind.is_type()
            {
                self.item(specifier.span);
            }
        }
    }

    fn visit_export_declaration(&mut self, it: &ExportDeclaration<'a>) {
        if is_type_only(&it.declaration) {
            self.blank_whole(it.span);
            return;
        }
        if matches!(it.declaration, Declaration::VariableDeclaration(_)) {
            self.statement(it.span);
        }
        walk::walk_export_declaration(self, it);
    }

    fn visit_export_from_declaration(&mut self, it: &ExportFromDeclaration<'a>) {
        if it.export_kind.is_type() {
            self.blank_whole(it.span);
        }
    }

    fn visit_export_all_declaration(&mut self, it: &ExportAllDeclaration<'a>) {
        if it.export_kind.is_type() {
            self.blank_whole(it.span);
        }
    }

    fn visit_export_named_declaration(&mut self, it: &ExportNamedDeclaration<'a>) {
        if it.export_kind.is_type() {
            self.blank_whole(it.span);
            return;
        }
        for specifier in it.specifiers.iter().filter(|specifier| specifier.export_kind.is_type()) {
            self.item(specifier.span);
        }
    }

    fn visit_export_default_declaration(&mut self, it: &ExportDefaultDeclaration<'a>) {
        match &it.declaration {
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => self.blank_whole(it.span),
            ExportDefaultDeclarationKind::FunctionDeclaration(function) if function.body.is_none() => {
                self.blank_whole(it.span);
            }
            _ => walk::walk_export_default_declaration(self, it),
        }
    }

    fn visit_ts_enum_declaration(&mut self, it: &TSEnumDeclaration<'a>) {
        self.refuse(it.span, ENUM);
    }

    fn visit_ts_namespace_declaration(&mut self, it: &TSNamespaceDeclaration<'a>) {
        self.refuse(it.span, NAMESPACE);
    }

    fn visit_ts_import_equals_declaration(&mut self, it: &TSImportEqualsDeclaration<'a>) {
        self.refuse(it.span, REQUIRE);
    }

    fn visit_ts_export_assignment(&mut self, it: &TSExportAssignment<'a>) {
        self.refuse(it.span, REQUIRE);
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.refuse(it.span, DECORATOR);
    }
}
