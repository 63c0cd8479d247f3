using System.Text.Json.Serialization;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>What became of an input.</summary>
[JsonConverter(typeof(RefineStatusConverter))]
public enum RefineStatus
{
    /// <summary>Its output is there, made in this run.</summary>
    Refined,

    /// <summary>Its output was there already.</summary>
    Skipped,

    /// <summary>It has no output.</summary>
    Failed,
}

/// <summary>Why an input has no output.</summary>
[JsonConverter(typeof(RefineCauseConverter))]
public enum RefineCause
{
    /// <summary>The file or folder cannot be opened or read, or is no regular file.</summary>
    Unreadable,

    /// <summary>It was changed while it was read.</summary>
    Changed,

    /// <summary>It is no image of a format that is read, damaged, incomplete, or declares too many pixels.</summary>
    Image,

    /// <summary>Its size cannot be refined.</summary>
    Size,

    /// <summary>The output cannot have its name: another input has it, it would replace an input, it is too long, or the output folder holds
    /// something else of that name.</summary>
    Name,

    /// <summary>There is an output, and outputs that exist are to be left alone.</summary>
    Exists,

    /// <summary>The output holds numbers that are not finite, in float32 too.</summary>
    NotFinite,

    /// <summary>The device has too little memory for the image alone.</summary>
    Memory,

    /// <summary>The output's format cannot hold it.</summary>
    Encoding,
}

/// <summary>Names of states in manifests: refined, skipped, failed.</summary>
internal sealed class RefineStatusConverter() : JsonStringEnumConverter<RefineStatus>(System.Text.Json.JsonNamingPolicy.KebabCaseLower);

/// <summary>Names of causes in manifests: unreadable, not-finite, ...</summary>
internal sealed class RefineCauseConverter() : JsonStringEnumConverter<RefineCause>(System.Text.Json.JsonNamingPolicy.KebabCaseLower);

/// <summary>An input failed; the message is one line with its name, the cause and the remedy.</summary>
public sealed class RefineItemException(RefineCause cause, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Why.</summary>
    public RefineCause Cause { get; } = cause;
}

/// <summary>An image to refine.</summary>
/// <param name="Name">What it is called, in messages and manifests: usually its path below the folder that was named.</param>
/// <param name="OutputName">What its output is called; the extension decides on the format.</param>
public sealed record RefineItem(string Name, string OutputName)
{
    /// <summary>Where it is, as messages call it; null: its name.</summary>
    public string? Place { get; init; }

    /// <summary>
    /// Gives the whole content of the file; called once, by any thread. It has to stay as it is until the same thread asks for that of another
    /// item. Null (that of the nullable type: a null array would become empty memory): the output is there already. Throws
    /// <see cref="RefineItemException"/> where the input cannot be had; that costs this input only.
    /// </summary>
    public Func<ReadOnlyMemory<byte>?>? Read { get; init; }

    /// <summary>
    /// Puts the encoded output where it belongs; called once, by any thread, and not to keep the memory. Null: the bytes come with the
    /// outcome. A <see cref="RefineItemException"/> costs this input only; whatever else it throws ends the run.
    /// </summary>
    public Action<ReadOnlyMemory<byte>>? Write { get; init; }

    /// <summary>What is known without reading it, where there is no <see cref="Read"/>: it passes through.</summary>
    public RefineStatus Status { get; init; } = RefineStatus.Skipped;

    /// <summary>The cause that goes with a status of failed.</summary>
    public RefineCause? Cause { get; init; }

    /// <summary>The message that goes with it.</summary>
    public string? Error { get; init; }

    /// <summary>Whatever the caller wants to find in the outcome.</summary>
    public object? Tag { get; init; }
}

/// <summary>An image that is done with.</summary>
/// <param name="Item">Which one.</param>
/// <param name="Status">What became of it.</param>
public sealed record RefineOutcome(RefineItem Item, RefineStatus Status)
{
    /// <summary>Why it failed; null when it did not.</summary>
    public RefineCause? Cause { get; init; }

    /// <summary>The failure in one line: name, cause, remedy.</summary>
    public string? Error { get; init; }

    /// <summary>The encoded output, where the item does not write it itself.</summary>
    public byte[]? Encoded { get; init; }

    /// <summary>Bytes of the input; 0 where it was not read.</summary>
    public long InputBytes { get; init; }

    /// <summary>XXH3 of the input, hexadecimal; null where it was not read.</summary>
    public string? InputHash { get; init; }

    /// <summary>Bytes of the output.</summary>
    public long OutputBytes { get; init; }

    /// <summary>XXH3 of the output, hexadecimal.</summary>
    public string? OutputHash { get; init; }

    /// <summary>Width in pixels; 0 where it was not decoded.</summary>
    public int Width { get; init; }

    /// <summary>Height in pixels; 0 where it was not decoded.</summary>
    public int Height { get; init; }

    /// <summary>What of the input is missing in the output and why.</summary>
    public IReadOnlyList<ImageNote> Notes { get; init; } = [];

    /// <summary>How it was computed; null where it was not.</summary>
    public string? Plan { get; init; }

    /// <summary>Whether it was computed again in float32, because the first result was not finite.</summary>
    public bool FellBack { get; init; }

    /// <summary>Seconds for reading and decoding, for its batch on the device, and for encoding and writing.</summary>
    public (double Decode, double Device, double Encode) Seconds { get; init; }
}
