package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/cli/words"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
)

func newImageCmd(app *App) *cobra.Command {
	cmd := parentCmd("image", "List, show, delete and prune the images of the namespace")
	cmd.Example = `  micro image list
  micro image get helloworld`
	cmd.AddCommand(newImageListCmd(app), newImageGetCmd(app), newImageDeleteCmd(app), newImagePruneCmd(app))
	return cmd
}

func newImageListCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the images that the environment keeps",
		Long: `List the images in the registry of the environment, the newest of each name first. An
image stays as long as it has a tag or one of the last releases of a service needs it;
see micro image prune.`,
		Example: "  micro image list\n  micro image list helloworld",
		Args:    atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.images(cmd.Context())
			if err != nil {
				return err
			}
			req := &imagev1.ListRequest{}
			if len(args) == 1 {
				req.Name = args[0]
			}
			rsp, err := client.List(ctx, req)
			if err != nil {
				return err
			}
			if out == asTable && len(rsp.GetImages()) == 0 {
				ns, err := app.Namespace()
				if err != nil {
					return err
				}
				fmt.Fprintf(app.Err, "no images in namespace %q\n", ns)
				return nil
			}
			if err := out.print(app.Out, rsp, func(t *tableWriter) { listImages(app, t, rsp.GetImages()) }); err != nil {
				return err
			}
			if out == asTable {
				fmt.Fprintf(app.Err, "%s on the disk\n", words.Size(rsp.GetSize()))
			}
			return nil
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func listImages(app *App, t *tableWriter, images []*imagev1.Image) {
	t.row("NAME", "DIGEST", "TAGS", "PLATFORMS", "SIZE", "PUSHED", "IN USE")
	for _, i := range images {
		used := "no"
		if i.GetInUse() {
			used = "yes"
		}
		t.row(i.GetName(), words.Digest("@"+i.GetDigest()), strings.Join(i.GetTags(), ","), platformText(i),
			words.Size(imageSize(i)), words.Ago(app.Now(), i.GetPushed().AsTime()), used)
	}
}

func imageSize(i *imagev1.Image) int64 {
	var size int64
	for _, p := range i.GetPlatforms() {
		size += p.GetSize()
	}
	return size
}

// platformText returns the platforms of an image, or what it is when it is none.
func platformText(i *imagev1.Image) string {
	if i.GetArtifactType() != "" {
		return i.GetArtifactType()
	}
	var names []string
	for _, p := range i.GetPlatforms() {
		names = append(names, p.GetPlatform())
	}
	return strings.Join(names, ",")
}

func newImageGetCmd(app *App) *cobra.Command {
	var out format
	var log, sbom, record bool
	cmd := &cobra.Command{
		Use:   "get NAME[:TAG|@DIGEST]",
		Short: "Show an image: platforms, how it was built, what is in it",
		Example: `  micro image get helloworld
  micro image get helloworld:latest --sbom`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.images(cmd.Context())
			if err != nil {
				return err
			}
			name, reference := splitImage(args[0])
			rsp, err := client.Get(ctx, &imagev1.GetRequest{Name: name, Reference: reference})
			if err != nil {
				return err
			}
			switch {
			case log:
				return app.printAttached([]byte(rsp.GetBuildLog()), args[0], "log of its build")
			case sbom:
				return app.printAttached(rsp.GetSbom(), args[0], "list of what is in it")
			case record:
				return app.printAttached(rsp.GetRecord(), args[0], "record of its build")
			}
			return out.print(app.Out, rsp, func(t *tableWriter) { describeImage(app, t, rsp) })
		},
	}
	outputFlag(cmd, &out)
	cmd.Flags().BoolVar(&log, "log", false, "only what the build has said")
	cmd.Flags().BoolVar(&sbom, "sbom", false, "only what is in it, as SPDX in JSON")
	cmd.Flags().BoolVar(&record, "record", false, "only how it was built, as an in-toto statement in JSON")
	cmd.MarkFlagsMutuallyExclusive("log", "sbom", "record")
	return cmd
}

// printAttached prints what is attached to an image.
func (a *App) printAttached(data []byte, image, what string) error {
	if len(data) == 0 {
		return &Error{Message: fmt.Sprintf("the image %s has no %s", image, what), Exit: ExitNotFound}
	}
	var out bytes.Buffer
	if json.Indent(&out, data, "", "  ") == nil {
		data = append(out.Bytes(), '\n')
	}
	_, err := a.Out.Write(data)
	return err
}

func describeImage(app *App, t *tableWriter, rsp *imagev1.GetResponse) {
	i := rsp.GetImage()
	t.row("Name:", i.GetName())
	t.row("Digest:", i.GetDigest())
	t.row("Tags:", strings.Join(i.GetTags(), ", "))
	for _, p := range i.GetPlatforms() {
		t.row("Platform:", fmt.Sprintf("%s  %s  %s", p.GetPlatform(), p.GetDigest(), words.Size(p.GetSize())))
	}
	t.row("Pushed:", words.Ago(app.Now(), i.GetPushed().AsTime()))
	t.row("In use:", map[bool]string{true: "by a release", false: "no"}[i.GetInUse()])
	for _, name := range slices.Sorted(maps.Keys(i.GetAnnotations())) {
		t.row(name+":", i.GetAnnotations()[name])
	}
	for _, kind := range i.GetAttached() {
		t.row("Attached:", kind)
	}
	for n, line := range strings.Split(strings.TrimSpace(rsp.GetBuildLog()), "\n") {
		title := ""
		if n == 0 {
			title = "Build:"
		}
		t.row(title, line)
	}
}

func newImageDeleteCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME[:TAG|@DIGEST]",
		Short: "Take a tag away, or delete an image or all of a name",
		Long: `Take a tag away with NAME:TAG, delete an image with all its tags with NAME@DIGEST, or
all images of a name. An image that one of the last releases of a service needs cannot
be deleted. The space is given back by micro image prune, or by itself some hours later.`,
		Example: "  micro image delete helloworld:v1",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.images(cmd.Context())
			if err != nil {
				return err
			}
			name, reference := splitImage(args[0])
			if _, err := client.Delete(ctx, &imagev1.DeleteRequest{Name: name, Reference: reference}); err != nil {
				return err
			}
			switch {
			case reference == "":
				fmt.Fprintf(app.Out, "all images of %s are deleted\n", name)
			case strings.Contains(reference, ":"):
				fmt.Fprintf(app.Out, "image %s is deleted\n", args[0])
			default:
				fmt.Fprintf(app.Out, "tag %s is taken away\n", args[0])
			}
			return nil
		},
	}
}

func newImagePruneCmd(app *App) *cobra.Command {
	var grace time.Duration
	var dryRun bool
	var out format
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the images that nothing needs",
		Long: `Remove from the namespace the images that have no tag and that none of the last
releases of a service needs, and what is left of pushes that broke off. The server
does so by itself each half hour; what is younger than two hours stays, because a
release that needs it may be on its way.`,
		Example: "  micro image prune --dry-run\n  micro image prune",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, err := app.images(cmd.Context())
			if err != nil {
				return err
			}
			req := &imagev1.PruneRequest{DryRun: dryRun}
			if cmd.Flags().Changed("grace") {
				req.Grace = durationpb.New(grace)
			}
			rsp, err := client.Prune(ctx, req)
			if err != nil {
				return err
			}
			if out != asTable {
				return out.print(app.Out, rsp, nil)
			}
			verb := "removed"
			if dryRun {
				verb = "would remove"
			}
			text := fmt.Sprintf("%s %d manifests and %d blobs: %s", verb, rsp.GetManifests(), rsp.GetBlobs(), words.Size(rsp.GetSize()))
			if n := rsp.GetYoung(); n > 0 {
				text += fmt.Sprintf("; %d more manifests stay because they are young", n)
			}
			fmt.Fprintln(app.Out, text)
			return nil
		},
	}
	outputFlag(cmd, &out)
	cmd.Flags().DurationVar(&grace, "grace", 2*time.Hour, "how old a thing must be to be removed; at least 1m")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "remove nothing, and tell what would be")
	return cmd
}

// images returns a client for the images of the environment, and the context to call it
// with.
func (a *App) images(ctx context.Context) (context.Context, imagev1.ImagesClient, error) {
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ctx, imagev1.NewImagesClient(conn), nil
}

// splitImage takes NAME:TAG and NAME@DIGEST apart.
func splitImage(s string) (name, reference string) {
	if name, digest, ok := strings.Cut(s, "@"); ok {
		return name, digest
	}
	name, reference, _ = strings.Cut(s, ":")
	return name, reference
}
