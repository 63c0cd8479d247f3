using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Model.Refinement;

namespace Stig.Cli;

/// <summary>How progress is shown.</summary>
internal enum ProgressKind
{
    /// <summary>A bar on a terminal, elsewhere a plain line every few seconds.</summary>
    Auto,

    /// <summary>A JSON object a second and one at the end, for machines.</summary>
    Json,

    /// <summary>Not at all; the summary remains.</summary>
    None,
}

/// <summary>What a machine is told of a job.</summary>
/// <param name="Event">"progress" or "summary".</param>
/// <param name="Done">Inputs that are done with: images, or tar files.</param>
/// <param name="Total">Inputs of this run; null while they are not counted.</param>
/// <param name="Refined">Images refined.</param>
/// <param name="Skipped">Inputs whose output was there.</param>
/// <param name="Failed">Images without output, and tar files that failed as a whole.</param>
/// <param name="Foreign">Files that are no images by their extensions.</param>
/// <param name="Seconds">Time since the start.</param>
/// <param name="ImagesPerSecond">Outputs made in a second, the mean since the start.</param>
/// <param name="SecondsLeft">Null while it is not known.</param>
/// <param name="DeviceBusy">Share of the time in which a device computed, 0 to 1.</param>
/// <param name="DecodeBusy">Share of the codec threads' time that went into reading and decoding.</param>
/// <param name="EncodeBusy">Share of the codec threads' time that went into encoding and writing.</param>
/// <param name="ListBusy">Share of the time in which inputs were being looked for.</param>
/// <param name="Limit">The stage with the least spare time.</param>
/// <param name="Causes">How many failed of each cause.</param>
internal sealed record JobEvent(
    string Event, long Done, long? Total, long Refined, long Skipped, long Failed, long Foreign, double Seconds, double ImagesPerSecond,
    double? SecondsLeft, double DeviceBusy, double DecodeBusy, double EncodeBusy, double ListBusy, string Limit,
    IReadOnlyDictionary<string, long> Causes);

/// <summary>What a machine is told of a dry run: how many inputs, images or tar files, would have which fate.</summary>
/// <param name="Event">"preview".</param>
/// <param name="Refine">Those that would be refined.</param>
/// <param name="Skip">Those whose output is there.</param>
/// <param name="Fail">Those that cannot be refined.</param>
/// <param name="Foreign">Files that are no images by their extensions.</param>
internal sealed record PreviewEvent(string Event, long Refine, long Skip, long Fail, long Foreign);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(JobEvent))]
[JsonSerializable(typeof(PreviewEvent))]
internal sealed partial class JobJson : JsonSerializerContext;

/// <summary>Puts the progress and the outcome of a job into words, or JSON.</summary>
internal sealed class JobReport(Terminal terminal, RefineJobProgress progress, long? total, long foreign, bool tar)
{
    private double Seconds => Math.Max(progress.Load.Seconds, 1e-3);

    private double Rate => progress.Refined / Seconds;

    private TimeSpan? Left
    {
        get
        {
            // What was skipped took no time worth mentioning.
            double left = Math.Max(0, (total ?? 0) - progress.Done), rate = (progress.Done - progress.Skipped) / Seconds;
            return total is null || rate <= 0 ? null : TimeSpan.FromSeconds(left / rate);
        }
    }

    public double Fraction => total is > 0 ? Math.Min(1, (double)progress.Done / total.Value) : 0;

    public string Status
    {
        get
        {
            string of = total is null ? "" : $"/{total}";
            string skipped = progress.Skipped > 0 ? $", {progress.Skipped} skipped" : "";
            string failed = progress.Failed > 0 ? $", {progress.Failed} failed" : "";
            return string.Create(CultureInfo.InvariantCulture,
                $"{progress.Done}{of} {Inputs(tar)}{skipped}{failed}, {Rate:F1} img/s, device {100 * progress.Load.Device:F0} %");
        }
    }

    public void WriteJson(string name)
    {
        PipelineLoad load = progress.Load;
        terminal.Line(JsonSerializer.Serialize(
            new JobEvent(name, progress.Done, total, progress.Refined, progress.Skipped, progress.Failed, foreign, Math.Round(load.Seconds, 2),
                Math.Round(Rate, 2), Left is TimeSpan left ? Math.Round(left.TotalSeconds, 1) : null,
                Math.Round(load.Device, 3), Math.Round(load.Decode, 3), Math.Round(load.Encode, 3), Math.Round(load.List, 3),
                Name(load.Limit), progress.Causes.ToDictionary(cause => Name(cause.Key), cause => cause.Value)),
            JobJson.Default.JobEvent));
    }

    /// <summary>What was done, in a line.</summary>
    public string Outcome(string folder)
    {
        string what = tar
            ? $"{progress.Refined} images of {progress.Done - progress.Skipped} tar files"
            : $"{progress.Refined} of {progress.Done} images";
        string there = progress.Skipped > 0 ? $" {progress.Skipped}{(tar ? " tar files" : "")} were there already." : "";
        string rest = foreign > 0 ? $" {foreign} other files were left alone." : "";
        return $"Refined {what} into {folder} in {Duration.Text(TimeSpan.FromSeconds(progress.Load.Seconds))}.{there}{rest}";
    }

    public void WriteSummary(string folder)
    {
        PipelineLoad load = progress.Load;
        terminal.Line(Outcome(folder));
        if (progress.Failed > 0)
        {
            terminal.Line($"Failed: {string.Join(", ", progress.Causes.Where(cause => cause.Value > 0).OrderByDescending(cause => cause.Value)
                .Select(cause => $"{cause.Value} {Name(cause.Key)}"))}.");
        }

        if (progress.FailedBefore > 0)
        {
            terminal.Line($"{progress.FailedBefore} images are missing in tar files that were there already: they failed when these were made. "
                + "--existing overwrite makes them again.");
        }

        if (progress.FellBack > 0)
        {
            terminal.Line($"{progress.FellBack} images were computed again in float32, because the first result was not finite.");
        }

        if (progress.Refined > 0)
        {
            terminal.Line(string.Create(CultureInfo.InvariantCulture,
                $"Busy: device {100 * load.Device:F0} %, decoding {100 * load.Decode:F0} %, encoding {100 * load.Encode:F0} %, listing "
                + $"{100 * load.List:F0} %. {Rate:F1} images/s; the limit was {Words(load.Limit)}."));
        }
    }

    /// <summary>What inputs are called.</summary>
    public static string Inputs(bool tar) => tar ? "tar files" : "images";

    private static string Name<T>(T value) where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());

    private static string Words(PipelineStage stage) => stage switch
    {
        PipelineStage.List => "finding inputs",
        PipelineStage.Decode => "decoding",
        PipelineStage.Encode => "encoding and writing",
        _ => "the device",
    };
}
