package simulator

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// queryOptions has the query options of a GET: $select, $expand, $top, $skip, $filter and
// $orderby.
type queryOptions struct {
	selected          []string // empty: the default properties
	top               int
	skip              int
	filter            filter
	properties        []string // normalized ids of the extended properties to show
	expandAttachments bool
	oldestFirst       bool
}

// parseQuery parses the query options. It refuses those that are not simulated, rather than
// ignore them.
func parseQuery(query url.Values) (queryOptions, error) {
	o := queryOptions{top: defaultTop}
	for name, values := range query {
		var err error
		switch name {
		case "$select":
			err = o.parseSelect(values[0])
		case "$expand":
			err = o.parseExpand(values[0])
		case "$top":
			o.top, err = strconv.Atoi(values[0])
			if err != nil || o.top < 1 || o.top > maxTop {
				err = badRequest("BadRequest", "Invalid value '%s' for $top query option found.", values[0])
			}
		case "$skip":
			o.skip, err = strconv.Atoi(values[0])
			if err != nil || o.skip < 0 {
				err = badRequest("BadRequest", "Invalid value '%s' for $skip query option found.", values[0])
			}
		case "$filter":
			o.filter, err = parseFilter(values[0])
		case "$orderby":
			err = o.parseOrder(values[0])
		default:
			if strings.HasPrefix(name, "$") {
				err = badRequest("BadRequest", "The query option '%s' is not simulated.", name)
			}
		}
		if err != nil {
			return queryOptions{}, err
		}
	}
	return o, nil
}

// parseOrder parses an order by date, the only one.
func (o *queryOptions) parseOrder(value string) error {
	switch property, direction, _ := strings.Cut(value, " "); {
	case property != "receivedDateTime" && property != "createdDateTime" || !slices.Contains([]string{"", "asc", "desc"}, direction):
		return badRequest("BadRequest", "The order '%s' is not simulated.", value)
	default:
		o.oldestFirst = direction != "desc"
	}
	return nil
}

func (o *queryOptions) parseSelect(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimPrefix(strings.TrimSpace(name), "microsoft.graph.fileAttachment/")
		_, ofMessage := schema["message"][name]
		_, ofAttachment := schema["attachment"][name]
		if !ofMessage && !ofAttachment {
			return badRequest("RequestBroker--ParseUri", "Could not find a property named '%s' on type 'Microsoft.OutlookServices.Message'.", name)
		}
		o.selected = append(o.selected, name)
	}
	return nil
}

// parseExpand parses "attachments" and "singleValueExtendedProperties($filter=id eq '...' or
// id eq '...')", separated by commas.
func (o *queryOptions) parseExpand(value string) error {
	p := &parser{text: value}
	for {
		switch name := p.word(); name {
		case "attachments":
			o.expandAttachments = true
		case "singleValueExtendedProperties":
			ids, err := p.expandedProperties()
			if err != nil {
				return err
			}
			o.properties = append(o.properties, ids...)
		default:
			return badRequest("RequestBroker--ParseUri", "Could not find a property named '%s' on type 'Microsoft.OutlookServices.Message'.", name)
		}
		if p.done() {
			return nil
		}
		if !p.take(",") {
			return p.fail("$expand")
		}
	}
}

func (p *parser) expandedProperties() ([]string, error) {
	if !p.take("(") || !p.take("$filter") || !p.take("=") {
		return nil, p.fail("$expand")
	}
	var ids []string
	for {
		if p.word() != "id" || p.word() != "eq" {
			return nil, p.fail("$expand")
		}
		literal, ok := p.literal()
		if !ok {
			return nil, p.fail("$expand")
		}
		id, err := normalizeProperty(literal)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
		if p.take(")") {
			return ids, nil
		}
		if p.word() != "or" {
			return nil, p.fail("$expand")
		}
	}
}
