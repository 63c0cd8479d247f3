using Microsoft.Win32.SafeHandles;

namespace Stig.Model.Refinement;

/// <summary>A part of a file as a stream. Several may read one file at a time.</summary>
/// <param name="file">The file, which stays the caller's.</param>
/// <param name="offset">Where the part begins.</param>
/// <param name="length">Its length in bytes.</param>
/// <param name="name">What messages call the file.</param>
internal sealed class FileRange(SafeFileHandle file, long offset, long length, string name) : Stream
{
    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => true;

    /// <inheritdoc/>
    public override bool CanWrite => false;

    /// <inheritdoc/>
    public override long Length => length;

    /// <inheritdoc/>
    public override long Position { get; set; }

    /// <inheritdoc/>
    /// <exception cref="RefineItemException">The file cannot be read, or ends before the part does.</exception>
    public override int Read(Span<byte> buffer)
    {
        int wanted = (int)Math.Clamp(length - Position, 0, buffer.Length);
        int read;
        try
        {
            read = RandomAccess.Read(file, buffer[..wanted], offset + Position);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RefineItemException(RefineCause.Unreadable, $"{name}: cannot be read: {error.Message.TrimEnd('.')}. Copy it again.", error);
        }

        Position += read;
        return read > 0 || wanted == 0
            ? read
            : throw new RefineItemException(RefineCause.Changed, $"{name}: became shorter while it was read. Run again when it is complete.");
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => Position = offset + origin switch
    {
        SeekOrigin.Begin => 0,
        SeekOrigin.Current => Position,
        _ => length,
    };

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
