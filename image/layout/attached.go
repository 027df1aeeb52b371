package layout

import "encoding/json"

// What a build attaches to an image: the artifact types, which are the media types of the
// one layer too.
const (
	// SchemaType is of the schema: a serialized FileDescriptorSet with comments, in which
	// every file comes after those that it imports.
	SchemaType = "application/vnd.micro.schema.v1"
	// SBOMType is of the list of what is in the image: an SPDX document in JSON.
	SBOMType = "application/spdx+json"
	// RecordType is of the record of how the image was built: an in-toto statement with
	// SLSA provenance in JSON, which nobody has signed.
	RecordType = "application/vnd.in-toto+json"
)

// BuildLogName is the name of the byproduct of a build, in its record, that is what the
// build has said.
const BuildLogName = "log"

// BuildLog returns what a build has said, from its record.
func BuildLog(record []byte) (string, error) {
	var statement struct {
		Predicate struct {
			RunDetails struct {
				Byproducts []struct {
					Name    string `json:"name"`
					Content []byte `json:"content"` // base64
				} `json:"byproducts"`
			} `json:"runDetails"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(record, &statement); err != nil {
		return "", err
	}
	for _, p := range statement.Predicate.RunDetails.Byproducts {
		if p.Name == BuildLogName {
			return string(p.Content), nil
		}
	}
	return "", nil
}
