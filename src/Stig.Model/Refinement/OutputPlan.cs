using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>What is to be done about an input.</summary>
/// <param name="Status">Refined: it is to be refined; skipped: its output is there; failed: it cannot be, see the problem.</param>
/// <param name="Problem">Why it cannot be refined.</param>
/// <param name="Known">The line of its output, if one vouches for it: it need not be made again if the input's content still is what the line
/// says.</param>
internal readonly record struct Decision(RefineStatus Status, RefineItemException? Problem = null, ManifestEntry? Known = null);

/// <summary>Decides about inputs by what the output folder and its manifests hold. Changes nothing. For one thread.</summary>
internal sealed class OutputPlan : IDisposable
{
    private readonly string root;
    private readonly ExistingOutputs existing;
    private readonly ManifestIndex history;
    private string folder = "";
    private string? obstacle;

    /// <summary>Reads the manifests, of which the options' <see cref="RefineJobOptions.Warn"/> is told what cannot be understood.</summary>
    /// <param name="options">Where to and how.</param>
    /// <param name="device">The model.</param>
    /// <exception cref="IOException">A manifest cannot be read.</exception>
    public OutputPlan(RefineJobOptions options, IImageRefiner device)
    {
        (root, existing, Model) = (options.OutputFolder, options.Existing, device.ModelId);
        Description = $"{options.Pipeline.Codec.Description} {device.Options}";
        history = ManifestIndex.Of(
            existing == ExistingOutputs.Resume && Directory.Exists(root) ? OutputFolder.Manifests(root) : [], options.Shard);

        // What other shards are writing just now is no damage.
        string own = OutputFolder.ManifestOf(root, options.Shard);
        foreach ((string path, int lines) in history.Unreadable.Where(manifest => options.Shard.Count == 1 || manifest.Path == own))
        {
            options.Warn?.Invoke($"{path}: {lines} lines cannot be understood and are passed over (a kill cuts one short). "
                + "What only they tell of is refined again.");
        }
    }

    public string Model { get; }

    public string Description { get; }

    public Decision Decide(InputFile input)
    {
        if (input.Problem is not null)
        {
            return new Decision(RefineStatus.Failed, input.Problem);
        }

        // Inputs come folder by folder.
        string parent = input.OutputName[..(input.OutputName.LastIndexOf('/') + 1)];
        if (parent != folder)
        {
            (folder, obstacle) = (parent, OutputFolder.Obstacle(root, parent));
        }

        var output = new FileInfo(Path.Combine(root, input.OutputName));
        if ((obstacle ?? (output.Exists ? null : OutputFolder.FolderOf(output.ToString()))) is string problem)
        {
            return new Decision(RefineStatus.Failed, new RefineItemException(RefineCause.Name, $"{input.Path}: {problem}"));
        }

        switch (existing)
        {
            case ExistingOutputs.Skip when output.Exists:
                return new Decision(RefineStatus.Skipped);
            case ExistingOutputs.Fail when output.Exists:
                return new Decision(RefineStatus.Failed, new RefineItemException(RefineCause.Exists,
                    $"{input.Path}: there is an output {output} already. Remove it, or choose another --existing."));
            case ExistingOutputs.Resume when history.Find(input.Name) is { Status: RefineStatus.Refined } entry
                && entry.Model == Model && entry.Options == Description && entry.Output == input.OutputName
                && output.Exists && entry.OutputBytes == output.Length:
                FileInfo file = ImageFiles.Followed(input.Path);
                return !file.Exists || file.Length != entry.InputBytes ? new Decision(RefineStatus.Refined)
                    : file.LastWriteTimeUtc == entry.InputModified ? new Decision(RefineStatus.Skipped, Known: entry)
                    : new Decision(RefineStatus.Refined, Known: entry);
            default:
                return new Decision(RefineStatus.Refined);
        }
    }

    public void Dispose() => history.Dispose();
}
