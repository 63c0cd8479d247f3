using System.Text.Json;
using System.Text.RegularExpressions;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>What comparing the manifests of all shards with the inputs came to.</summary>
/// <param name="Shards">Number of shards.</param>
/// <param name="Inputs">Inputs there are.</param>
/// <param name="Problems">Inputs that are not refined exactly once, and lines without an input, each in one line.</param>
public sealed record ManifestMergeResult(int Shards, long Inputs, long Problems);

/// <summary>Checks that the manifests of n shards cover the inputs exactly, and makes one manifest of them.</summary>
public static partial class ManifestMerge
{
    /// <summary>Compares, and writes <c>manifest.jsonl</c> in the order of the inputs if there is no problem.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="inputs">The inputs of all shards, as an <see cref="InputListing"/> gives them.</param>
    /// <param name="problem">Receives each problem in one line.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="ImageDataException">Manifests of shards are missing, or are of several numbers of shards.</exception>
    /// <exception cref="IOException">The folder is in use, or the manifest cannot be written.</exception>
    public static async Task<ManifestMergeResult> RunAsync(
        string folder, IAsyncEnumerable<InputFile> inputs, Action<string> problem, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(problem);
        Shard[] shards = ShardsIn(folder);
        using OutputFolder output = OutputFolder.Open(folder, Shard.Whole, durable: false);
        ManifestIndex[] indices = [.. shards.Select(shard => ManifestIndex.Of([Path.Combine(folder, $"manifest-{shard.Name}.jsonl")]))];
        (string temporary, FileStream stream) = output.Create("manifest.jsonl");
        try
        {
            long count = 0, problems = 0;
            long[] covered = new long[shards.Length];
            string? made = null;
            void Say(string text)
            {
                problems++;
                problem(text);
            }

            using (stream)
            {
                await foreach (InputFile input in inputs.WithCancellation(cancellation).ConfigureAwait(false))
                {
                    count++;
                    for (int i = 0; i < shards.Length; i++)
                    {
                        ManifestEntry? entry = indices[i].Find(input.Name);
                        covered[i] += entry is null ? 0 : 1;
                        if (!shards[i].Holds(input.Name))
                        {
                            if (entry is not null)
                            {
                                Say($"{input.Name}: is in the manifest of shard {shards[i].Index}/{shards[i].Count}, where it does not belong.");
                            }

                            continue;
                        }

                        made ??= entry is null ? null : $"{entry.Model} {entry.Options}";
                        if (Check(folder, input, entry, made) is string wrong)
                        {
                            Say($"{input.Name}: {wrong}");
                        }
                        else
                        {
                            stream.Write([.. JsonSerializer.SerializeToUtf8Bytes(entry!, ManifestJson.Default.ManifestEntry), (byte)'\n']);
                        }
                    }
                }
            }

            for (int i = 0; i < shards.Length; i++)
            {
                // Lines of members of tar files have no input of their own.
                long extra = indices[i].Count - covered[i];
                if (extra > 0 && !indices[i].HasMembers)
                {
                    Say($"{extra} lines of manifest-{shards[i].Name}.jsonl belong to no input. Name the inputs as in the runs.");
                }
            }

            if (problems == 0)
            {
                output.Keep(temporary, "manifest.jsonl");
            }

            return new ManifestMergeResult(shards.Length, count, problems);
        }
        finally
        {
            Array.ForEach(indices, index => index.Dispose());
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
            return "is in no manifest. Run its shard again.";
        }

        if (entry.Status != RefineStatus.Refined)
        {
            return $"failed: {entry.Error}";
        }

        if ($"{entry.Model} {entry.Options}" != made)
        {
            return "was refined with another model or other options than the first input. Run its shard again.";
        }

        var file = new FileInfo(Path.Combine(folder, entry.Output));
        return file.Exists && file.Length == entry.OutputBytes && entry.Output == input.OutputName
            ? null
            : $"its output {entry.Output} is missing or has another size than when it was made. Run its shard again.";
    }

    private static Shard[] ShardsIn(string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new ImageDataException($"There is no folder {folder}. Name the output folder of the shards.");
        }

        List<Shard> shards = [];
        foreach (string path in OutputFolder.Manifests(folder))
        {
            Match match = ShardManifest().Match(Path.GetFileName(path));
            if (match.Success && Shard.TryParse($"{match.Groups[1].Value}/{match.Groups[2].Value}", out Shard shard))
            {
                shards.Add(shard);
            }
        }

        int[] counts = [.. shards.Select(shard => shard.Count).Distinct()];
        if (counts.Length != 1)
        {
            throw new ImageDataException(counts.Length == 0
                ? $"{folder} holds no manifest of a shard (manifest-0-of-8.jsonl). Name the output folder of the shards."
                : $"{folder} holds manifests of runs with {string.Join(" and with ", counts.Order())} shards. Remove those of the run that does not count.");
        }

        int[] missing = [.. Enumerable.Range(0, counts[0]).Except(shards.Select(shard => shard.Index))];
        return missing.Length == 0
            ? [.. shards.OrderBy(shard => shard.Index)]
            : throw new ImageDataException(
                $"{folder} lacks the manifests of {missing.Length} of {counts[0]} shards, the first of them {missing[0]}/{counts[0]}. Run those shards.");
    }

    [GeneratedRegex(@"^manifest-(\d+)-of-(\d+)\.jsonl$")]
    private static partial Regex ShardManifest();
}
