package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// tag is a line of a source that begins (#) or ends (/) a region of that name.
var tag = regexp.MustCompile(`^\s*(?://|#) ([#/])([a-z][a-z0-9-]*)$`)

// source tells which file a fence is an excerpt of: its info is a language, a file
// and perhaps what of it. Paths are relative to the top of the project; main.go,
// main.diff and what is in first/ belong to the chapter.
func (f Fence) source(chapterDir string) (file, what string, ok bool) {
	if len(f.Info) < 2 || f.Is("console") || f.Is("go", "sketch") {
		return "", "", false
	}
	file, what = f.Info[1], strings.Join(f.Info[2:], " ")
	if file == "main.go" || file == "main.diff" || strings.HasPrefix(file, "first/") {
		file = path.Join(chapterDir, file)
	}
	return file, what, true
}

// Excerpt cuts out of a file what a symbol of Go ("CloneFlags", "Group.Delete",
// the name of a type, constant or variable) or a region ("#name") stands for, or
// gives the whole of it. Tags are left out, common indentation is taken away.
func Excerpt(top, file, what string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(top, file))
	if err != nil {
		return nil, fmt.Errorf("there is no file %s", file)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if name, ok := strings.CutPrefix(what, "#"); ok {
		lines, err = region(lines, file, name)
	} else if what != "" {
		lines, err = symbol(lines, data, file, what)
	}
	if err != nil {
		return nil, err
	}
	return dedent(slices.DeleteFunc(slices.Clone(lines), tag.MatchString)), nil
}

// region finds the lines between "// #name" and "// /name".
func region(lines []string, file, name string) ([]string, error) {
	begin, end, begins, ends := 0, 0, 0, 0
	for i, line := range lines {
		m := tag.FindStringSubmatch(line)
		switch {
		case m == nil || m[2] != name:
		case m[1] == "#":
			begin, begins = i+1, begins+1
		default:
			end, ends = i, ends+1
		}
	}
	if begins != 1 || ends != 1 || begin > end {
		return nil, fmt.Errorf("%s must have one line \"// #%s\" and one \"// /%s\" after it; it has %d and %d", file, name, name, begins, ends)
	}
	return lines[begin:end], nil
}

// symbol finds a declaration, with the comment above it. A name in a group
// ("const ( ... )") stands for the group.
func symbol(lines []string, data []byte, file, name string) ([]string, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []ast.Decl
	var near []string
	for _, decl := range parsed.Decls {
		names := declared(decl)
		if slices.Contains(names, name) {
			found = append(found, decl)
		}
		for _, n := range names {
			if strings.HasSuffix(n, "."+name) || strings.EqualFold(n, name) {
				near = append(near, n)
			}
		}
	}
	switch {
	case len(found) > 1:
		return nil, fmt.Errorf("%s has %d declarations of %s: mark the one that is meant as a region", file, len(found), name)
	case len(found) == 0 && len(near) > 0:
		return nil, fmt.Errorf("%s has no symbol %s, but %s", file, name, strings.Join(near, ", "))
	case len(found) == 0:
		return nil, fmt.Errorf("%s has no symbol %s", file, name)
	}
	begin := found[0].Pos()
	switch decl := found[0].(type) {
	case *ast.FuncDecl:
		if decl.Doc != nil {
			begin = decl.Doc.Pos()
		}
	case *ast.GenDecl:
		if decl.Doc != nil {
			begin = decl.Doc.Pos()
		}
	}
	return lines[files.Position(begin).Line-1 : files.Position(found[0].End()).Line], nil
}

// declared lists the names by which a declaration can be asked for.
func declared(decl ast.Decl) (names []string) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			return []string{decl.Name.Name}
		}
		receiver := decl.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if generic, ok := receiver.(*ast.IndexExpr); ok {
			receiver = generic.X
		}
		return []string{fmt.Sprint(receiver) + "." + decl.Name.Name}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// dedent takes away the tabs that all lines begin with.
func dedent(lines []string) []string {
	common := -1
	for _, line := range lines {
		if line != "" {
			if n := len(line) - len(strings.TrimLeft(line, "\t")); common < 0 || n < common {
				common = n
			}
		}
	}
	for i, line := range lines {
		if line != "" {
			lines[i] = line[common:]
		}
	}
	return lines
}
