using System.CommandLine;
using System.CommandLine.Parsing;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli;

/// <summary>How commands take the images of a batch: files, folders, lists.</summary>
internal sealed class InputArguments
{
    public Argument<string[]> Paths { get; } = new("IMAGE|DIR")
    {
        Description = "Images, and folders of images, whose tree is kept; - reads names from standard input.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    public Option<string> List { get; } = new("--list")
    {
        Description = "File with the name of an image a line; - for standard input.",
        HelpName = "FILE",
    };

    public Option<bool> Zero { get; } = new("--null") { Description = "Names in the list end in a zero byte (find -print0)." };

    public Option<bool> Tar { get; } = new("--tar")
    {
        Description = "Inputs are tar files of images (WebDataset shards), and so are the outputs.",
    };

    public void AddTo(Command command)
    {
        command.Add(Paths);
        command.Add(List);
        command.Add(Zero);
        command.Add(Tar);
        command.Validators.Add(Validate);
    }

    /// <summary>The inputs that the command line names.</summary>
    /// <exception cref="ImageDataException">They stand on a standard input that is closed.</exception>
    public InputOptions Of(ParseResult parsed, string outputFolder, RefineCodec codec)
    {
        string[] paths = parsed.GetValue(Paths) ?? [];
        string? list = parsed.GetValue(List) ?? (paths.Contains("-") ? "-" : null);
        if (list == "-" && !StandardStream.IsOpen(StandardStream.Input))
        {
            throw new ImageDataException("No images: their names are to come from standard input, which is closed. Open it, or name images.");
        }

        return new InputOptions
        {
            Paths = [.. paths.Where(path => path != "-")],
            ListFile = list,
            ZeroTerminated = parsed.GetValue(Zero),
            Tar = parsed.GetValue(Tar),
            OutputFolder = outputFolder,
            Codec = codec,
        };
    }

    private void Validate(CommandResult result)
    {
        string[] paths = result.GetValue(Paths) ?? [];
        string? list = result.GetValue(List);
        if (paths.Length == 0 && list is null)
        {
            result.AddError("Name images or folders of images, or a --list of them.");
        }

        if (paths.Contains("-") && list is not null)
        {
            result.AddError("There is one list: give - or --list, not both.");
        }

        if (result.GetValue(Zero) && list is null && !paths.Contains("-"))
        {
            result.AddError("--null says how a list is written: give --list or - with it.");
        }
    }
}
