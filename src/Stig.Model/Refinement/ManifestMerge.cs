using System.Text.RegularExpressions;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>What comparing the manifests of an output folder with the inputs came to.</summary>
/// <param name="Manifests">Number of manifests.</param>
/// <param name="Inputs">Inputs there are.</param>
/// <param name="Problems">Inputs that are not refined, and outputs without an input, each in one line.</param>
public sealed record ManifestMergeResult(int Manifests, long Inputs, long Problems);

/// <summary>
/// Checks that the manifests of an output folder cover the inputs exactly, and makes one manifest of them. All count together, as for a run
/// that goes on: a job may have been begun whole, or with another number of shards.
/// </summary>
public static partial class ManifestMerge
{
    private const string Merged = "manifest.jsonl";

    /// <summary>Compares, and writes <c>manifest.jsonl</c> in the order of the inputs if there is no problem.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="inputs">The inputs of all shards, as an <see cref="InputListing"/> gives them.</param>
    /// <param name="problem">Receives each problem in one line.</param>
    /// <param name="warn">Told in one line what does not keep the merge from its work.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="ImageDataException">There is no manifest, or those of shards are missing.</exception>
    /// <exception cref="IOException">The folder is in use, or the manifest cannot be written.</exception>
    public static async Task<ManifestMergeResult> RunAsync(
        string folder, IAsyncEnumerable<InputFile> inputs, Action<string> problem, Action<string>? warn = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(problem);
        string[] manifests = ManifestsIn(folder);
        using OutputFolder output = OutputFolder.Open(folder, Shard.Whole, durable: true, warn);
        using ManifestIndex index = ManifestIndex.Of(manifests, Shard.Whole);
        (string temporary, FileStream file) = output.Create(Merged);
        try
        {
            long count = 0, problems = 0;
            string? made = null;
            void Say(string text)
            {
                problems++;
                problem(text);
            }

            await using (BufferedStream lines = new(file, 1 << 16))
            {
                await foreach (InputFile input in inputs.WithCancellation(cancellation).ConfigureAwait(false))
                {
                    count++;
                    ManifestEntry? entry = index.Find(input.Name, forget: true);
                    made ??= entry is null ? null : $"{entry.Model} {entry.Options}";
                    if (Check(folder, input, entry, made) is string wrong)
                    {
                        Say($"{input.Name}: {wrong}");
                    }
                    else
                    {
                        lines.Write(ManifestWriter.LineOf(entry!));
                    }
                }

                // Those in other manifests stay there.
                foreach (ManifestEntry member in manifests.Where(path => Path.GetFileName(path) == Merged).SelectMany(ManifestIndex.Read))
                {
                    if (member.Member == true)
                    {
                        lines.Write(ManifestWriter.LineOf(member));
                    }
                }
            }

            // Lines without an output do no harm: those of inputs that failed and were removed. An output may be that of another input now.
            Dictionary<string, string> strangers = [];
            foreach (ManifestEntry entry in index.Left())
            {
                if (File.Exists(Path.Combine(folder, entry.Output)))
                {
                    strangers[entry.Output] = entry.Input;
                }
            }

            foreach (ManifestEntry entry in strangers.Count > 0 ? ManifestIndex.Read(temporary) : [])
            {
                strangers.Remove(entry.Output);
            }

            foreach ((string name, string input) in strangers)
            {
                Say($"{name}: its input {input} is not among those named. Name the inputs as in the runs, or remove this output.");
            }

            if (problems == 0)
            {
                output.Keep(temporary, Merged);
            }

            return new ManifestMergeResult(manifests.Length, count, problems);
        }
        finally
        {
            if (File.Exists(temporary))
            {
                File.Delete(temporary);
            }
        }
    }

    private static string? Check(string folder, InputFile input, ManifestEntry? entry, string? made)
    {
        if (entry is null)
        {
            return File.Exists(Path.Combine(folder, input.OutputName))
                ? $"its output {input.OutputName} is there, but no manifest tells how it was made, as after --existing skip. Run its shard with "
                    + "--existing resume, which makes it again."
                : "is in no manifest. Run its shard again.";
        }

        if (entry.Status != RefineStatus.Refined)
        {
            return $"failed: {entry.Error}";
        }

        if ($"{entry.Model} {entry.Options}" != made)
        {
            return "was refined with another model or other options than the first input. Run its shard again.";
        }

        // The line's own name of the output could be anything.
        return entry.Output == input.OutputName && new FileInfo(Path.Combine(folder, input.OutputName)) is { Exists: true } file && file.Length == entry.OutputBytes
            ? null
            : $"its output {entry.Output} is missing or has another size than when it was made. Run its shard again.";
    }

    private static string[] ManifestsIn(string folder)
    {
        string[] manifests = Directory.Exists(folder) ? [.. OutputFolder.Manifests(folder)] : [];
        if (manifests.Length == 0)
        {
            throw new ImageDataException($"{folder} holds no manifest ({Merged}, manifest-0-of-8.jsonl). Name the output folder of the shards.");
        }

        List<Shard> shards = [];
        foreach (string path in manifests)
        {
            Match match = ShardManifest().Match(Path.GetFileName(path));
            if (match.Success && Shard.TryParse($"{match.Groups[1].Value}/{match.Groups[2].Value}", out Shard shard))
            {
                shards.Add(shard);
            }
        }

        // Shards of one number and nothing else: to look at the inputs would only tell at length that those of the missing ones are not done.
        int[] counts = [.. shards.Select(shard => shard.Count).Distinct()];
        int[] missing = shards.Count == manifests.Length && counts.Length == 1
            ? [.. Enumerable.Range(0, counts[0]).Except(shards.Select(shard => shard.Index))]
            : [];
        return missing.Length == 0
            ? manifests
            : throw new ImageDataException(
                $"{folder} lacks the manifests of {missing.Length} of {counts[0]} shards, the first of them {missing[0]}/{counts[0]}. Run those shards.");
    }

    [GeneratedRegex(@"^manifest-(\d+)-of-(\d+)\.jsonl$")]
    private static partial Regex ShardManifest();
}
