package simulator

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// schema has the names and types of properties by type, as "message resource type" and its
// complex types list them for v1.0. "s" is a string, "b" a boolean, "n" a number, "*"
// anything. Other words are types of the schema. "[]" stands for a collection.
//
// message is an open type in Graph's metadata, so that Graph may accept an unknown name and
// drop its value silently. The simulator refuses it: in practice it is a misspelled
// property.
var schema = map[string]map[string]string{
	"message": {
		"id": "s", "changeKey": "s", "categories": "[]s", "createdDateTime": "s", "lastModifiedDateTime": "s",
		"bccRecipients": "[]recipient", "body": "itemBody", "bodyPreview": "s", "ccRecipients": "[]recipient",
		"conversationId": "s", "conversationIndex": "s", "flag": "*", "from": "recipient", "hasAttachments": "b",
		"importance": "s", "inferenceClassification": "s", "internetMessageHeaders": "[]internetMessageHeader",
		"internetMessageId": "s", "isDeliveryReceiptRequested": "b", "isDraft": "b", "isRead": "b",
		"isReadReceiptRequested": "b", "parentFolderId": "s", "receivedDateTime": "s", "replyTo": "[]recipient",
		"sender": "recipient", "sentDateTime": "s", "subject": "s", "toRecipients": "[]recipient",
		"uniqueBody": "itemBody", "webLink": "s", "attachments": "[]attachment", "extensions": "*",
		"singleValueExtendedProperties": "[]extendedProperty", "multiValueExtendedProperties": "*",
	},
	"recipient":             {"emailAddress": "emailAddress"},
	"emailAddress":          {"name": "s", "address": "s"},
	"itemBody":              {"contentType": "s", "content": "s"},
	"internetMessageHeader": {"name": "s", "value": "s"},
	"extendedProperty":      {"id": "s", "value": "s"},
	"attachment": {
		"name": "s", "contentType": "s", "contentBytes": "s", "isInline": "b", "contentId": "s",
		"contentLocation": "s", "size": "n", "lastModifiedDateTime": "s", "id": "s", "item": "*",
	},
	"attachmentItem": {
		"attachmentType": "s", "name": "s", "size": "n", "contentType": "s", "isInline": "b", "contentId": "s",
	},
	"sendMail":      {"message": "message", "saveToSentItems": "*"},
	"createSession": {"AttachmentItem": "attachmentItem"},
}

// ignoresCase reports whether the type has the parameters of an action, which Microsoft's
// pages write in different cases.
func ignoresCase(typeName string) bool { return typeName == "sendMail" || typeName == "createSession" }

// decode checks a JSON body against a type of the schema and decodes it into value.
func decode(body []byte, typeName string, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var raw any
	if err := decoder.Decode(&raw); err != nil || decoder.More() {
		return badRequest("BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	if _, ok := raw.(map[string]any); !ok {
		return badRequest("BadRequest", "Empty Payload. JSON content expected.")
	}
	if err := checkValue(typeName, raw, typeName); err != nil {
		return err
	}
	if err := json.Unmarshal(body, value); err != nil {
		return badRequest("RequestBodyRead", "%v", err)
	}
	return nil
}

// checkValue checks a value against a type of the schema. path is its name in errors.
func checkValue(typeName string, value any, path string) error {
	if value == nil || typeName == "*" {
		return nil
	}
	if element, ok := strings.CutPrefix(typeName, "[]"); ok {
		list, ok := value.([]any)
		if !ok {
			return wrongType(path, "Collection")
		}
		for _, v := range list {
			if err := checkValue(element, v, path); err != nil {
				return err
			}
		}
		return nil
	}
	if properties, ok := schema[typeName]; ok {
		return checkObject(typeName, properties, value, path)
	}
	return checkScalar(typeName, value, path)
}

func checkObject(typeName string, properties map[string]string, value any, path string) error {
	object, ok := value.(map[string]any)
	if !ok {
		return wrongType(path, "microsoft.graph."+typeName)
	}
	for name, v := range object {
		if strings.Contains(name, "@odata.") {
			continue
		}
		known, ok := properties[name]
		if !ok && ignoresCase(typeName) {
			known, ok = propertyFold(properties, name)
		}
		if !ok {
			return badRequest("RequestBodyRead",
				"The property '%s' does not exist on type 'microsoft.graph.%s'. Make sure to only use property names that are defined by the type.", name, typeName)
		}
		if err := checkValue(known, v, name); err != nil {
			return err
		}
	}
	return nil
}

func propertyFold(properties map[string]string, name string) (string, bool) {
	for property, typeName := range properties {
		if strings.EqualFold(property, name) {
			return typeName, true
		}
	}
	return "", false
}

func checkScalar(typeName string, value any, path string) error {
	ok, edm := true, ""
	switch typeName {
	case "s":
		_, ok = value.(string)
		edm = "Edm.String"
	case "b":
		_, ok = value.(bool)
		edm = "Edm.Boolean"
	case "n":
		_, ok = value.(json.Number)
		edm = "Edm.Int64"
	}
	if !ok {
		return wrongType(path, edm)
	}
	return nil
}

func wrongType(path, edm string) error {
	return badRequest("RequestBodyRead", "Cannot convert the value of '%s' to the expected type '%s'.", path, edm)
}

// checkEnum refuses a value that is not a member. As in Graph, case does not matter.
func checkEnum(name, value string, members ...string) error {
	if value == "" || slices.Contains(members, strings.ToLower(value)) {
		return nil
	}
	return badRequest("RequestBodyRead", "Requested value '%s' was not found for '%s'.", value, name)
}
