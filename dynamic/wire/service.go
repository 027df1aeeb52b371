package wire

import (
	"iter"
	"sort"
	"strings"
)

// Service is a service of a table. The zero value is not valid; those that a
// table hands out are.
type Service struct {
	t *Table
	i uint32
}

// Method is a method of a service.
type Method struct {
	t *Table
	i uint32
}

// Services yields the services in the order of their full names.
func (t *Table) Services() iter.Seq[Service] {
	return func(yield func(Service) bool) {
		for i := range t.serviceCount() {
			if !yield(Service{t, i}) {
				return
			}
		}
	}
}

func (t *Table) serviceCount() uint32 { return uint32(len(t.services) / serviceSize) }

// Service returns the service with a full name, false when there is none.
func (t *Table) Service(name string) (Service, bool) {
	i, ok := t.find(len(t.services)/serviceSize, name, func(i uint32) ref { return t.service(i).name() })
	return Service{t, i}, ok
}

// Method returns the method that a full name means, false when there is none:
// pkg.Service.Method, pkg.Service/Method or /pkg.Service/Method.
func (t *Table) Method(name string) (Method, bool) {
	name = strings.TrimPrefix(name, "/")
	i := strings.LastIndexAny(name, "./")
	if i < 0 {
		return Method{}, false
	}
	s, ok := t.Service(name[:i])
	if !ok {
		return Method{}, false
	}
	return s.Method(name[i+1:])
}

func (s Service) rec() *serviceRec { return s.t.service(s.i) }

// Name returns the full name: "pkg.Service".
func (s Service) Name() string { return s.t.string(s.rec().name()) }

// Deprecated reports whether the schema says not to use the service any more.
func (s Service) Deprecated() bool { return s.rec().flags()&flagDeprecated != 0 }

// Methods yields the methods in the order of their names.
func (s Service) Methods() iter.Seq[Method] {
	return func(yield func(Method) bool) {
		start := s.rec().methods()
		for i := range s.methodCount() {
			if !yield(Method{s.t, start + i}) {
				return
			}
		}
	}
}

func (s Service) methodCount() uint32 {
	return clamp(s.rec().methods(), s.rec().count(), len(s.t.methods)/methodSize)
}

// Method returns the method with a name, false when there is none.
func (s Service) Method(name string) (Method, bool) {
	start := s.rec().methods()
	i, ok := s.t.find(int(s.methodCount()), name, func(i uint32) ref { return Method{s.t, start + i}.name() })
	return Method{s.t, start + i}, ok
}

// Alike yields the methods whose names begin with one, in the order of their folded
// names: case, '-' and '_' do not count.
func (s Service) Alike(prefix string) iter.Seq[Method] {
	return func(yield func(Method) bool) {
		for m, isPrefix := range s.from(fold(prefix)) {
			if !isPrefix || !yield(m) {
				return
			}
		}
	}
}

// Named yields the methods that have a name but for case, '-' and '_'.
func (s Service) Named(name string) iter.Seq[Method] {
	folded := fold(name)
	return func(yield func(Method) bool) {
		for m := range s.from(folded) {
			if order, _ := compareFolded(s.t.text(m.name()), folded); order != 0 || !yield(m) {
				return
			}
		}
	}
}

// from yields the methods from a folded name on, in the order of theirs, and whether
// they begin with it.
func (s Service) from(folded string) iter.Seq2[Method, bool] {
	return func(yield func(Method, bool) bool) {
		start, n := s.rec().methods(), s.methodCount()
		at := func(i uint32) Method { return Method{s.t, start + min(s.t.position(s.rec().byFold()+i), n-1)} }
		first := uint32(sort.Search(int(n), func(i int) bool {
			order, _ := compareFolded(s.t.text(at(uint32(i)).name()), folded)
			return order >= 0
		}))
		for i := first; i < n; i++ {
			m := at(i)
			_, prefix := compareFolded(s.t.text(m.name()), folded)
			if !yield(m, prefix) {
				return
			}
		}
	}
}

// HasNamesakes reports whether the service has a method that is not the only one of
// the table with its name, where case, '-' and '_' do not count.
func (s Service) HasNamesakes() bool { return s.rec().flags()&flagNamesakes != 0 }

// Namesakes returns how many methods of the table have the method's name but for case,
// '-' and '_', with itself.
func (m Method) Namesakes() int { return int(m.rec().alike()) }

func (m Method) rec() *methodRec { return m.t.method(m.i) }

// name is the end of the path.
func (m Method) name() ref {
	path, size := m.rec().path(), m.rec().nameSize()
	if size > path.size {
		return ref{}
	}
	return ref{path.off + path.size - size, size}
}

// Name returns the name without that of the service: "Method".
func (m Method) Name() string { return m.t.string(m.name()) }

// Path returns what a gRPC request names: "/pkg.Service/Method".
func (m Method) Path() string { return m.t.string(m.rec().path()) }

// Service returns the service that the method is of.
func (m Method) Service() Service { return Service{m.t, m.rec().service()} }

// Input returns the message that a request is made of.
func (m Method) Input() Message { return Message{m.t, m.rec().input()} }

// Output returns the message that an answer is made of.
func (m Method) Output() Message { return Message{m.t, m.rec().output()} }

// ClientStreaming reports whether a call takes any number of requests.
func (m Method) ClientStreaming() bool { return m.rec().flags()&flagClientStream != 0 }

// ServerStreaming reports whether a call gives any number of answers.
func (m Method) ServerStreaming() bool { return m.rec().flags()&flagServerStream != 0 }

// Deprecated reports whether the schema says not to use the method any more.
func (m Method) Deprecated() bool { return m.rec().flags()&flagDeprecated != 0 }
