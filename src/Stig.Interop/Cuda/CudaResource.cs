namespace Stig.Interop.Cuda;

/// <summary>
/// Something that lives in a context and has to be released. Disposing is the rule and never throws; what was made from it (memory
/// of a stream, functions of a module) keeps the native object until it is disposed too. What is dropped instead of disposed is
/// counted (<see cref="CudaContext.ForgottenResources"/>) and released when the context is used next.
/// </summary>
public abstract class CudaResource : IDisposable
{
    private readonly CudaResource? parent;
    private int references = 1;
    private int disposed;

    private protected CudaResource(CudaContext context, CudaResource? parent = null)
    {
        Context = context;
        this.parent = parent;
        parent?.AddReference();
        context.AddReference();
    }

    /// <summary>Hands a dropped resource to its context, to be released on a thread that uses it instead of the collector's.</summary>
    ~CudaResource()
    {
        // Without a context the constructor threw, and there is nothing to release.
        if (Context is { } context && disposed == 0)
        {
            context.Forget(this);
        }
    }

    /// <summary>The context it lives in.</summary>
    public CudaContext Context { get; }

    /// <summary>Releases it. Never throws; a failure is kept in <see cref="CudaContext.ReleaseFailure"/>.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            RemoveReference();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the native object, with the context current. Failures go to <see cref="CudaContext.NoteRelease(CudaResult, string)"/>.</summary>
    private protected abstract void Release();

    private protected void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(disposed != 0, this);

    private void AddReference()
    {
        ThrowIfDisposed();
        Interlocked.Increment(ref references);
    }

    private void RemoveReference()
    {
        if (Interlocked.Decrement(ref references) != 0)
        {
            return;
        }

        using (CudaContext.Scope scope = CudaContext.Scope.ForRelease(Context))
        {
            Release();
        }

        parent?.RemoveReference();
        Context.RemoveReference();
    }
}
