using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>What is to be done about an input.</summary>
/// <param name="Status">Refined: it is to be refined; skipped: its output is there; failed: it cannot be, see the problem.</param>
/// <param name="Problem">Why it cannot be refined.</param>
/// <param name="KnownHash">The input need not be refined if its content has this hash; null: it must be.</param>
internal readonly record struct Decision(RefineStatus Status, RefineItemException? Problem = null, string? KnownHash = null);

/// <summary>Decides about inputs by what the output folder and its manifests hold. Changes nothing.</summary>
internal sealed class OutputPlan(string root, ExistingOutputs existing, string model, string description) : IDisposable
{
    private readonly ManifestIndex history = ManifestIndex.Of(
        existing == ExistingOutputs.Resume && Directory.Exists(root) ? OutputFolder.Manifests(root) : []);

    public string Model => model;

    public string Description => description;

    public static OutputPlan Of(RefineJobOptions options, IImageRefiner device) => new(
        options.OutputFolder, options.Existing, device.ModelId, $"{options.Pipeline.Codec.Description} {device.Options}");

    public Decision Decide(InputFile input)
    {
        if (input.Problem is not null)
        {
            return new Decision(RefineStatus.Failed, input.Problem);
        }

        var output = new FileInfo(Path.Combine(root, input.OutputName));
        switch (existing)
        {
            case ExistingOutputs.Skip when output.Exists:
                return new Decision(RefineStatus.Skipped);
            case ExistingOutputs.Fail when output.Exists:
                return new Decision(RefineStatus.Failed, new RefineItemException(RefineCause.Exists,
                    $"{input.Path}: there is an output {output} already. Remove it, or choose another --existing."));
            case ExistingOutputs.Resume when history.Find(input.Name) is { Status: RefineStatus.Refined } entry
                && entry.Model == model && entry.Options == description && entry.Output == input.OutputName
                && output.Exists && entry.OutputBytes == output.Length:
                FileInfo file = ImageFiles.Followed(input.Path);
                return !file.Exists || file.Length != entry.InputBytes ? new Decision(RefineStatus.Refined)
                    : file.LastWriteTimeUtc == entry.InputModified ? new Decision(RefineStatus.Skipped)
                    : new Decision(RefineStatus.Refined, KnownHash: entry.InputHash);
            default:
                return new Decision(RefineStatus.Refined);
        }
    }

    public void Dispose() => history.Dispose();
}
